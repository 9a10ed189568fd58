"""Compound files of Microsoft (OLE): storages and streams, read in place.

Each directory entry, sector and table entry is read once per use. olefile searches its directory linearly for every
name, and a file of 18,000 names took 45 seconds.

https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb
"""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO

from ingest.codes import Rule
from ingest.documents.spool import BLOCK
from ingest.errors import PartRejected

SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
MAX_ENTRIES = 20_000  # of one file's directory
_HEADER = struct.Struct("<30xHH14xI4xIIIII")  # from the sector shift on; the 109 first places of the FAT follow
_HEADER_SIZE = 512
_FIRST_PLACES = 109
_ENTRY = struct.Struct("<64sHBxIII16s20xIQ")
_SECTOR_SHIFTS = frozenset({9, 12})
_MINI_SHIFT = 6
_VERSION_3_SHIFT = 9  # sizes have 32 bits, with rubbish in the upper half
_LAST = 0xFFFFFFFA  # the highest number of a sector, and of an entry
_PLACE = 4  # bytes of a sector's number


class Kind(IntEnum):
    """The kind of a directory entry."""

    STORAGE = 1
    STREAM = 2
    ROOT = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A storage or stream. `number`: its place in the directory. `start`: its first sector. `size` in bytes."""

    number: int
    name: str
    kind: int
    left: int
    right: int
    child: int
    class_id: bytes
    start: int
    size: int


class _Table:
    """A table of chains (FAT, mini FAT): for each sector the number of the next one."""

    def __init__(self, file: IO[bytes], positions: Sequence[int], sector_size: int) -> None:
        self._file = file
        self._positions = positions  # in bytes, of the table's own sectors
        self._sector_size = sector_size
        self._loaded: dict[int, array[int]] = {}

    def __getitem__(self, sector: int) -> int:
        index, offset = divmod(sector, self._sector_size // _PLACE)
        numbers = self._loaded.get(index)
        if numbers is None:
            if index >= len(self._positions):
                raise PartRejected(Rule.UNREADABLE)
            numbers = _numbers(_read(self._file, self._positions[index], self._sector_size))
            self._loaded[index] = numbers
        return numbers[offset]

    def chain(self, sector: int, at_most: int) -> Iterator[int]:
        """Yield the sectors of a chain. Raises PartRejected(unreadable) for a chain that is longer or a circle."""
        while sector <= _LAST:
            at_most -= 1
            if at_most < 0:
                raise PartRejected(Rule.UNREADABLE)
            yield sector
            sector = self[sector]


class CompoundFile:
    """An open compound file. Every method raises PartRejected(unreadable) for a broken file."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read header and directory. Raises PartRejected(too_many) beyond MAX_ENTRIES, PartRejected(unreadable)."""
        self._file = file
        self._file_size = file.seek(0, io.SEEK_END)
        header = _read(file, 0, _HEADER_SIZE)
        shift, mini_shift, directory, cutoff, mini_fat, _, difat, _ = _HEADER.unpack_from(header)
        if not header.startswith(SIGNATURE) or shift not in _SECTOR_SHIFTS or mini_shift != _MINI_SHIFT:
            raise PartRejected(Rule.UNREADABLE)
        self._has_long_sizes = shift != _VERSION_3_SHIFT
        self._sector_size: int = 1 << shift
        self._sectors = self._file_size // self._sector_size + 1
        self._cutoff = cutoff
        self._mini_fat_start = mini_fat
        self._fat = _Table(file, self._fat_positions(header, difat), self._sector_size)
        self._directory = self._read_directory(directory)
        self._seen = {0}  # entries with a place in the tree
        self._children: dict[int, dict[str, Entry]] = {}
        self._mini: tuple[_Table, array[int]] | None = None
        self.root = self._entry(0)

    def children(self, storage: Entry) -> Mapping[str, Entry]:
        """Return the entries of a storage by name in lower case, as names are compared without case."""
        found = self._children.get(storage.number)
        if found is None:
            found = self._children[storage.number] = self._walk(storage.child)
        return found

    def blocks(self, stream: Entry) -> Iterator[bytes]:
        """Yield the content of a stream, at most BLOCK bytes at a time."""
        if stream.size > self._file_size:
            raise PartRejected(Rule.UNREADABLE)
        if stream.kind == Kind.STREAM and stream.size < self._cutoff:
            return self._small_blocks(stream)
        return self._large_blocks(stream)

    def _fat_positions(self, header: bytes, difat: int) -> array[int]:
        """Return the positions of the FAT's sectors: 109 places in the header, the others in a chain of their own."""
        places = _numbers(header[-_FIRST_PLACES * _PLACE :])
        per_sector = self._sector_size // _PLACE
        while difat <= _LAST:
            if len(places) > self._sectors // per_sector + _FIRST_PLACES + per_sector:
                raise PartRejected(Rule.UNREADABLE)
            more = _numbers(_read(self._file, self._position(difat), self._sector_size))
            difat = more.pop()
            places += more
        return array("Q", (self._position(place) for place in places if place <= _LAST))

    def _read_directory(self, start: int) -> bytes:
        entries = bytearray()
        for sector in self._fat.chain(start, self._sectors):
            if len(entries) >= MAX_ENTRIES * _ENTRY.size:
                raise PartRejected(Rule.TOO_MANY)
            entries += _read(self._file, self._position(sector), self._sector_size)
        return bytes(entries)

    def _walk(self, root: int) -> dict[str, Entry]:
        """Return the entries of a binary tree. An entry that has a place elsewhere is left out, so circles end."""
        found: dict[str, Entry] = {}
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number > _LAST or number in self._seen:
                continue
            self._seen.add(number)
            entry = self._entry(number)
            found.setdefault(entry.name.lower(), entry)
            waiting += (entry.right, entry.left)
        return found

    def _entry(self, number: int) -> Entry:
        if (number + 1) * _ENTRY.size > len(self._directory):
            raise PartRejected(Rule.UNREADABLE)
        name, length, kind, left, right, child, class_id, start, size = _ENTRY.unpack_from(
            self._directory, number * _ENTRY.size
        )
        return Entry(
            number=number,
            name=name[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace"),
            kind=kind,
            left=left,
            right=right,
            child=child,
            class_id=class_id,
            start=start,
            size=size if self._has_long_sizes else size & 0xFFFFFFFF,
        )

    def _large_blocks(self, stream: Entry) -> Iterator[bytes]:
        left = stream.size
        first, count = 0, 0  # a run of neighbours, read at once
        for sector in self._fat.chain(stream.start, -(-left // self._sector_size)):
            if count and (sector != first + count or count * self._sector_size >= BLOCK):
                left -= count * self._sector_size
                yield _read(self._file, self._position(first), count * self._sector_size)
                count = 0
            if not count:
                first = sector
            count += 1
        if not 0 <= left <= count * self._sector_size:
            raise PartRejected(Rule.UNREADABLE)
        yield _read(self._file, self._position(first), left)

    def _small_blocks(self, stream: Entry) -> Iterator[bytes]:
        """Yield a stream below the cutoff: its sectors are pieces of the root's stream."""
        table, places = self._mini_sectors()
        left = stream.size
        for sector in table.chain(stream.start, -(-left // (1 << _MINI_SHIFT))):
            index, offset = divmod(sector << _MINI_SHIFT, self._sector_size)
            if index >= len(places):
                raise PartRejected(Rule.UNREADABLE)
            size = min(left, 1 << _MINI_SHIFT)
            yield _read(self._file, self._position(places[index]) + offset, size)
            left -= size
        if left:
            raise PartRejected(Rule.UNREADABLE)

    def _mini_sectors(self) -> tuple[_Table, array[int]]:
        """Return the mini FAT, and the sectors of the root's stream, in which the mini sectors lie."""
        if self._mini is None:
            own = array("Q", map(self._position, self._fat.chain(self._mini_fat_start, self._sectors)))
            places = array("I", self._fat.chain(self.root.start, self._sectors))
            self._mini = _Table(self._file, own, self._sector_size), places
        return self._mini

    def _position(self, sector: int) -> int:
        return (sector + 1) * self._sector_size


def _read(file: IO[bytes], position: int, size: int) -> bytes:
    file.seek(position)
    data = file.read(size)
    if len(data) < size:
        raise PartRejected(Rule.UNREADABLE)
    return data


def _numbers(data: bytes) -> array[int]:
    return array("I", struct.unpack(f"<{len(data) // _PLACE}I", data))
