"""Bytes that live on disk: the MIME of a mail, its decoded attachments."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A file of `length` bytes; `sha256` is the hex digest of all of them."""

    path: Path
    length: int
    sha256: str

    def read(self) -> bytes:
        """All bytes at once; for what is known to be small."""
        return self.path.read_bytes()


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
