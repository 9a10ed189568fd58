"""Memory that the harness shares with all hosts: which points kill, how often each was passed, where hosts died.

A file mapped into memory, because its pages survive the process that wrote them, SIGKILL included.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tests.chaos.points import POINTS

_INDEX = {point: number for number, point in enumerate(POINTS)}
_CELL = struct.Struct("=q")
_ARMED, _PASSED, _KILLED = range(3)
_TABLES = 3


class Control:
    """Three numbers for each point. Hosts race for them; what a lost race costs is a count, never a kill."""

    def __init__(self, path: Path) -> None:
        size = _TABLES * len(POINTS) * _CELL.size
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)

    def arm(self, point: str, occurrence: int) -> None:
        """The process that passes the point for the `occurrence`-th time from now dies there."""
        self._write(_ARMED, point, occurrence)

    def disarm(self) -> None:
        """Stop killing processes."""
        for point in POINTS:
            self._write(_ARMED, point, 0)

    def pass_by(self, point: str) -> bool:
        """Count a host's passing; whether it has to die now, which is then counted, too."""
        self._write(_PASSED, point, self._read(_PASSED, point) + 1)
        armed = self._read(_ARMED, point)
        if armed > 0:
            self._write(_ARMED, point, armed - 1)
        if armed != 1:
            return False
        self._write(_KILLED, point, self._read(_KILLED, point) + 1)
        return True

    def passed(self, point: str) -> int:
        """Return the number of times that processes passed the point."""
        return self._read(_PASSED, point)

    def killed(self, point: str) -> int:
        """Return the number of processes that died at the point."""
        return self._read(_KILLED, point)

    def armed(self, point: str) -> bool:
        """Return True while a process is to die at the point."""
        return self._read(_ARMED, point) > 0

    def _read(self, table: int, point: str) -> int:
        value: int = _CELL.unpack_from(self._memory, self._offset(table, point))[0]
        return value

    def _write(self, table: int, point: str, value: int) -> None:
        _CELL.pack_into(self._memory, self._offset(table, point), value)

    @staticmethod
    def _offset(table: int, point: str) -> int:
        return (table * len(POINTS) + _INDEX[point]) * _CELL.size
