"""Blob Storage in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from ingest.errors import BlobConflict
from ingest.model.blob import StoredBlob
from tests.fakes.journal import Journal


class FakeBlobs:
    """`Blobs`. A blob comes to be whole or not at all, and is never overwritten."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self._contents: dict[str, bytes] = {}
        self._metadata: dict[str, dict[str, str]] = {}

    def store(
        self,
        name: str,
        content: Iterable[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredBlob:
        self.journal.step("store")
        whole = b"".join(content)
        if len(whole) != size:
            raise BlobConflict(f"the blob {name} was to have {size} bytes, {len(whole)} came")
        assert hashlib.sha256(whole).hexdigest() == sha256
        found = self._contents.setdefault(name, whole)
        if found != whole:
            raise BlobConflict(f"the blob {name} is there with other content")
        escaped = {key: quote(value, safe="", errors="replace") for key, value in (metadata or {}).items()}
        self._metadata.setdefault(name, {"sha256": sha256, **escaped})
        return StoredBlob(container="documents", name=name, size=size, sha256=sha256)

    def holds(self, blob: StoredBlob) -> bool:
        self.journal.step("holds")
        found = self._contents.get(blob.name)
        return found is not None and (len(found), hashlib.sha256(found).hexdigest()) == (blob.size, blob.sha256)

    def lose(self, name: str) -> None:
        """A blob that was deleted by mistake, or lost with its region."""
        del self._contents[name]

    def read(self, name: str) -> Iterator[bytes]:
        yield self._contents[name]

    def names(self) -> list[str]:
        return sorted(self._contents)

    def metadata(self, name: str) -> dict[str, str]:
        return self._metadata[name]
