"""The take-over of new documents into the DMS. Copy the file, and call `take_over` from `listen_for_documents.run`.

Safe to run at any time, from several workers, and again after every kind of fault. A document is the DMS's as soon as
the DMS has a row with the document's id, in a column `ingest_id` that is unique.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import IO, Protocol
from uuid import UUID

BATCH = 100
log = logging.getLogger(__name__)


class Document(Protocol):
    """A row of `ingest.delivered`: `IngestDocument` of docs/examples/ingest_document.py."""

    @property
    def id(self) -> UUID:
        """The document's id."""

    @property
    def container(self) -> str:
        """The blob container."""

    @property
    def blob_name(self) -> str:
        """The blob's name."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    @property
    def sha256(self) -> str:
        """The hash in hex."""


class AlreadyTaken(Exception):
    """The DMS has this document. `adopt` raises it for a violation of the unique `ingest_id`."""


class WrongContent(Exception):
    """The blob is not what the row says."""


def take_over[AnyDocument: Document](
    find_new: Callable[[int, Collection[UUID]], Sequence[AnyDocument]],
    read: Callable[[str, str], Iterator[bytes]],
    adopt: Callable[[AnyDocument, IO[bytes]], None],
) -> tuple[int, list[UUID]]:
    """Take over every new document; return the number of those taken, and the ids of those with a fault.

    `find_new(limit, without)`: documents that the DMS has no row of, but for the ids in `without`, for example
    `IngestDocument.objects.exclude(id__in=Mine.objects.values("ingest_id")).exclude(id__in=without)[:limit]`.
    `read(container, blob_name)`: the blob in pieces. `adopt(document, content)`: one transaction that saves the content
    and the DMS's own row. A document with a fault stops no other; it is new again in the next run.
    """
    taken, faulty = 0, list[UUID]()
    while documents := find_new(BATCH, faulty):
        for document in documents:
            try:
                with tempfile.TemporaryFile() as content:
                    _download(document, read, content)
                    adopt(document, content)
                taken += 1
            except AlreadyTaken:
                log.info("document %s was taken over by another worker", document.id)
            except Exception:  # the fault of one document, of any kind, must not keep the others waiting
                log.exception("document %s could not be taken over", document.id)
                faulty.append(document.id)
    return taken, faulty


def _download(document: Document, read: Callable[[str, str], Iterator[bytes]], content: IO[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    for piece in read(document.container, document.blob_name):
        digest.update(piece)
        size += len(piece)
        content.write(piece)
    if (size, digest.hexdigest()) != (document.size, document.sha256):
        raise WrongContent(f"{size} bytes with another hash than on record, or another length")
    content.seek(0)
