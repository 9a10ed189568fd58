"""Zip archives, read by the standard library, which expands a member block by block.

Only stored and deflated members are expanded. The other methods of the format expand a few bytes into megabytes in one
step or need gigabytes of memory, and no office program writes them.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, override

from ingest.codes import Rule
from ingest.documents.spool import BLOCK
from ingest.documents.unpacking.bounded import Bounded
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import PartRejected

DIRECTORY_BYTES_PER_PART = 1024  # of the directory, which zipfile reads into memory as a whole
_SMALLEST_DIRECTORY = 128 * 1024
_ENTRIES_PER_PART = 4  # of the directory, folders included
_FREE_ENTRIES = 1000  # beside those
_ENTRY, _ENTRY_SIZE = struct.Struct("<28xHHH"), 46  # lengths of name, extra field and comment
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# Errors of zipfile on broken archives, and on features that it lacks.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    IndexError,
    OverflowError,
)


class _Archive(Bounded):
    """An archive that refuses a directory of too many entries, before zipfile makes an object of each."""

    most_entries: int | None = None

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.most_entries is not None and data.startswith(b"PK\1\2"):
            count = position = 0
            while position + _ENTRY_SIZE <= len(data):
                position += _ENTRY_SIZE + sum(_ENTRY.unpack_from(data, position))
                count += 1
            if count > self.most_entries:
                raise PartRejected(Rule.TOO_MANY)
        return data


def open_zip(file: IO[bytes], *, max_parts: int) -> Container:
    """Return the files in an archive, without folders. Raises PartRejected(too_many), PartRejected(unreadable)."""
    archive, entries = _directory(file, max_parts)
    files = [entry for entry in entries if not entry.is_dir()]
    if len(files) > max_parts:
        raise PartRejected(Rule.TOO_MANY)
    return Container(
        rule=Rule.ZIP_ARCHIVE,
        members=tuple(_member(archive, entry) for entry in files),
        is_mail=False,
        encrypted=any(entry.flag_bits & _ENCRYPTED for entry in entries),
    )


def list_names(file: IO[bytes], *, max_parts: int) -> list[str]:
    """Return the names in an archive, by which detection recognises office documents. Raises as `open_zip`."""
    return [entry.filename for entry in _directory(file, max_parts)[1]]


def read_small(file: IO[bytes], name: str, at_most: int) -> bytes:
    """Return the first bytes of one member, at most `at_most`. Raises PartRejected(unreadable)."""
    with _readable(), zipfile.ZipFile(file) as archive:
        entry = archive.getinfo(name)
        if entry.compress_type not in _METHODS:
            raise PartRejected(Rule.UNREADABLE)
        with archive.open(entry) as content:
            return content.read(at_most)


def read_several(file: IO[bytes], names: frozenset[str], *, at_most: int, max_parts: int) -> Iterator[bytes]:
    """Yield the first bytes of each of these members, at most `at_most`. Raises as `open_zip`."""
    archive, entries = _directory(file, max_parts)
    for entry in entries:
        if entry.filename in names and entry.compress_type in _METHODS and not entry.flag_bits & _ENCRYPTED:
            with _readable(), archive.open(entry) as content:
                yield content.read(at_most)


def _directory(file: IO[bytes], max_parts: int) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    bound = _Archive(file, at_once=max(_SMALLEST_DIRECTORY, DIRECTORY_BYTES_PER_PART * max_parts), rule=Rule.TOO_MANY)
    bound.most_entries = _FREE_ENTRIES + _ENTRIES_PER_PART * max_parts
    with _readable():
        archive = zipfile.ZipFile(bound)
        bound.most_entries = None
        return archive, archive.infolist()


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    return Member(name=entry.orig_filename, size=entry.file_size, open=lambda: _content(archive, entry))


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.compress_type not in _METHODS:
        raise PartRejected(Rule.UNREADABLE)
    with _readable(), archive.open(entry) as content:
        while block := content.read(BLOCK):
            yield block


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, KeyError, NotImplementedError, RecursionError, MemoryError):
        raise PartRejected(Rule.UNREADABLE) from None
