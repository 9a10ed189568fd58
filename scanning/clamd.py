"""clamd's protocol: one content streamed through one connection, and one line as the answer.

https://docs.clamav.net/manual/Usage/Scanning.html#clamd (man clamd, INSTREAM)
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ingest.codes import Verdict
from ingest.errors import ScannerUnavailable
from ingest.trace import span

CLAMAV = "clamav"
CONNECT_SECONDS = 5
SCAN_SECONDS = 120  # without a byte from clamd; its own limit, MaxScanTime, is 120 s
_MOST_ANSWER = 4096  # bytes
_FOUND = re.compile(r"stream: (.+) FOUND")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """clamd's verdict. `malware`: the name of its signature. `said`: the reason of a scan that failed."""

    verdict: Verdict
    malware: tuple[str, ...] = ()
    said: str | None = None


class Clamd:
    """A clamd at an address: the path of its socket, or host:port. Every call may raise ScannerUnavailable."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ping(self) -> str:
        """Return clamd's version, with the version and date of its signatures."""
        with span("clamd.version"), self._connected() as connection:
            connection.sendall(b"zVERSION\0")
            return _line(connection)

    def scan(self, content: Iterator[bytes]) -> Response:
        """Return the verdict on a content. Raises what reading `content` raises."""
        with span("clamd.scan"), self._connected() as connection:
            # A content beyond clamd's StreamMaxLength: clamd answers, and reads no more.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"zINSTREAM\0")
                for block in content:
                    if block:
                        connection.sendall(_LENGTH.pack(len(block)) + block)
                connection.sendall(_LENGTH.pack(0))
            return _answer(_line(connection))

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        try:
            with self._connect() as connection:
                connection.settimeout(SCAN_SECONDS)
                yield connection
        except OSError as error:
            raise ScannerUnavailable(f"clamd: {type(error).__name__}") from None

    def _connect(self) -> socket.socket:
        if sys.platform != "win32" and self._address.startswith("/"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(CONNECT_SECONDS)
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
                raise
            return connection
        host, _, port = self._address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS)


def _line(connection: socket.socket) -> str:
    received = b""
    while not received.endswith(b"\0") and len(received) < _MOST_ANSWER:
        piece = connection.recv(_MOST_ANSWER)
        if not piece:
            break
        received += piece
    if not received:
        raise ScannerUnavailable("clamd ended the connection without an answer")
    return received.rstrip(b"\0\n").decode("utf-8", "replace")


def _answer(line: str) -> Response:
    if line == "stream: OK":
        return Response(verdict=Verdict.CLEAN)
    if (found := _FOUND.fullmatch(line)) is not None:
        # "Heuristics.Limits.Exceeded…" says that clamd stopped before the end: no verdict on the content.
        if found[1].startswith("Heuristics.Limits.Exceeded"):
            return Response(verdict=Verdict.FAILED, said=found[1])
        return Response(verdict=Verdict.MALICIOUS, malware=(found[1],))
    if "size limit exceeded" in line:
        return Response(verdict=Verdict.FAILED, said="larger than clamd's StreamMaxLength")
    raise ScannerUnavailable("clamd gave no verdict")
