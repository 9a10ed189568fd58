"""Processes that read PDFs for the app, so that a file which is too costly can be killed.

A library in a thread can be stopped neither in an endless loop nor while it fills the memory. A process is started
with the first PDF that needs one, serves many mails, and is replaced when a file passes its limits. The process gets
an empty environment, one open file at a time, and no secret.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Condition
from typing import IO

from ingest import log
from ingest.codes import Rule
from ingest.documents.budget import BEAT_SECONDS, Budget
from ingest.documents.pdf.findings import INTRICATE, Pdf
from ingest.documents.pdf.reader_protocol import READY, REQUEST, from_line
from ingest.documents.pdf.reading import read_objects_here
from ingest.documents.spool import on_disk
from ingest.errors import PartRejected, ReaderUnavailable

PROCESSES = 2  # at most; each takes about 40 MB
FILE_SECONDS = 2.0  # of processor time for one PDF; a sound one takes some hundredths
START_SECONDS = 30.0
_LONGEST_LINE = 64 * 1024  # bytes of an answer
_CODE = """import os, sys
os.nice(19)  # honest mails go first, from the first import on
sys.path[:] = sys.argv[1:]
from ingest.documents.pdf.reader_process import main
main()"""


class ReaderPool:
    """The processes of one app. Any thread may read; a file waits while all processes are at work."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._free = Condition()
        self._idle: list[_Reader] = []
        self._left = processes  # that may still be started
        self._closed = False

    def read(self, file: IO[bytes], budget: Budget) -> Pdf:
        """Read a PDF within the mail's budget.

        `file` must be one of the operating system, or become one by `fileno`. Raises PartRejected(too_costly),
        ReaderUnavailable, DiskUnavailable, and the errors of the budget's `keep_alive`. Windows has no means to pass an
        open file to a process: there, on a developer's machine, the PDF is read in this process.
        """
        if sys.platform == "win32":
            return read_objects_here(file, budget)
        reader = self._take(budget)
        found: Pdf | None = None
        try:
            found = reader.read(file, budget)
        finally:
            self._give_back(reader, reusable=found is not None and found.problem != INTRICATE)
        return found

    def close(self) -> None:
        """End all processes. One that is at work ends with its file."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _take(self, budget: Budget) -> _Reader:
        with self._free:
            while not self._idle and not self._left:
                self._free.wait(BEAT_SECONDS)
                budget.check()
            if self._idle:
                return self._idle.pop()
            self._left -= 1
        try:
            return _Reader()
        except BaseException:
            with self._free:
                self._left += 1
                self._free.notify()
            raise

    def _give_back(self, reader: _Reader, *, reusable: bool) -> None:
        with self._free:
            keep = reusable and not self._closed
            if keep:
                self._idle.append(reader)
            else:
                self._left += 1
            self._free.notify()
        if not keep:
            reader.close()


class _Reader:
    """One process, and the socket to it."""

    def __init__(self) -> None:
        """Start the process and wait until it is ready. Raises ReaderUnavailable."""
        try:
            self._connection, self._process = _start()
        except OSError as error:  # no memory, process or descriptor is left: no fault of the mail
            raise ReaderUnavailable(f"the process that reads PDFs can't be started ({error.strerror})") from None
        self._connection.settimeout(START_SECONDS)
        try:
            ready = self._connection.recv(len(READY))
        except OSError:
            ready = b""
        if ready != READY:
            self.close()
            raise ReaderUnavailable("the process that reads PDFs does not start")

    def read(self, file: IO[bytes], budget: Budget) -> Pdf:
        """Read a PDF. Raises DiskUnavailable where the file can't be written out.

        Raises PartRejected(too_costly) too; the process is then dead or at work, and must be closed.
        """
        if sys.platform == "win32":
            raise NotImplementedError  # never reached: ReaderPool.read starts no process on Windows
        with on_disk():
            descriptor = file.fileno()
            file.flush()  # what became a file just now is in a buffer yet
        seconds = min(FILE_SECONDS, budget.seconds_left)
        try:
            socket.send_fds(self._connection, [REQUEST.pack(seconds)], [descriptor])
            line = self._line(budget)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            return self._died(seconds, budget)
        found, used = from_line(line)
        budget.charge(used)
        return found

    def _line(self, budget: Budget) -> bytes:
        """Return the answer; less than a line if the process died."""
        self._connection.settimeout(BEAT_SECONDS)
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            try:
                data = self._connection.recv(_LONGEST_LINE)
            except TimeoutError:
                budget.check()
                continue
            if not data:
                break
            line += data
        return bytes(line)

    def _died(self, seconds: float, budget: Budget) -> Pdf:
        if sys.platform == "win32":
            raise NotImplementedError  # never reached: ReaderPool.read starts no process on Windows
        code = self._process.wait()
        log.warning("reader.died", code=code)
        if code == -signal.SIGPROF:
            budget.charge(seconds)
            raise PartRejected(Rule.TOO_COSTLY)
        return Pdf(problem=INTRICATE)

    def close(self) -> None:
        """Kill the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def _start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process and return our end of the socket to it. Raises OSError, and leaves nothing open then."""
    with ExitStack() as undo:
        ours, other = socket.socketpair()
        undo.callback(ours.close)
        with closing(other):
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-I", "-c", _CODE, *(str(Path(entry).resolve()) for entry in sys.path)],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(sys.executable).anchor,
                env={},
                start_new_session=True,  # Ctrl-C is for the app
            )
        undo.pop_all()
    return ours, process
