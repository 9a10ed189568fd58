"""Unit tests stay inside the process: a test that opens a connection fails."""

import socket
from typing import NoReturn

import psycopg
import pytest

_NETWORK = {socket.AF_INET, socket.AF_INET6}


class SocketOpenedError(AssertionError):
    """A unit test wanted the network."""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise SocketOpenedError("a unit test opened a connection")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: object, original: object = original) -> object:
            if self.family in _NETWORK:
                refuse()
            return original(self, *args)  # type: ignore[operator]  # the method that it stands for

        monkeypatch.setattr(socket.socket, name, guarded)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(psycopg.Connection, "connect", refuse)  # libpq knows nothing of Python's sockets
