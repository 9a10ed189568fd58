"""Bytes that live on disk: the MIME of a mail, its decoded attachments."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A file of `length` bytes; `sha256` is the hex digest of all of them."""

    path: Path
    length: int
    sha256: str

    def read(self) -> bytes:
        """All bytes at once; for what is known to be small."""
        return self.path.read_bytes()

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes in blocks of at most `BLOCK` bytes."""
        with self.path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """`length` bytes at `offset` of a content, and the bytes that stand there instead."""

    offset: int
    length: int
    replacement: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Patched:
    """A content with other bytes in some places; `patches` are in order and do not overlap."""

    content: Content
    patches: tuple[Patch, ...]

    @property
    def length(self) -> int:
        """The number of bytes with all patches applied."""
        return self.content.length + sum(len(patch.replacement) - patch.length for patch in self.patches)

    def read(self) -> bytes:
        """All bytes at once; for what is known to be small."""
        return b"".join(self.blocks())

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes in blocks of at most `BLOCK` bytes."""
        with self.content.path.open("rb") as file:
            for patch in self.patches:
                yield from _up_to(file, patch.offset)
                yield patch.replacement
                file.seek(patch.length, io.SEEK_CUR)
            yield from _up_to(file, self.content.length)


def _up_to(file: BinaryIO, end: int) -> Iterator[bytes]:
    while (left := end - file.tell()) > 0 and (block := file.read(min(left, BLOCK))):
        yield block


class ContentWriter:
    """Writes a file and hashes it on the way; `close` gives its Content."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._length = 0

    def write(self, block: bytes) -> None:
        """Append one block."""
        self._file.write(block)
        self._digest.update(block)
        self._length += len(block)

    def close(self) -> Content:
        """Finish the file and say what it holds."""
        self._file.close()
        return Content(path=self._path, length=self._length, sha256=self._digest.hexdigest())


def save(path: Path, data: bytes) -> Content:
    """Write `data` to `path`."""
    writer = ContentWriter(path)
    writer.write(data)
    return writer.close()
