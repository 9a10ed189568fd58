"""The take-over that the DMS copies: idempotent, in batches, and one bad document stops no other."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

from console.language import texts
from docs.examples.take_over import BATCH, AlreadyTaken, take_over
from ingest.codes import Reason


@dataclass(frozen=True)
class Document:
    """A row of ingest.delivered."""

    container: str
    blob_name: str
    size: int
    sha256: str
    id: UUID = field(default_factory=uuid4)


class Dms:
    """The DMS's documents, and the blobs."""

    def __init__(self) -> None:
        self.offered: list[Document] = []
        self.mine: dict[UUID, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.batches: list[int] = []

    def offer(self, content: bytes, *, lies: bytes | None = None) -> Document:
        name = f"1/{len(self.offered)}"
        self.blobs[name] = content if lies is None else lies
        document = Document("documents", name, len(content), hashlib.sha256(content).hexdigest())
        self.offered.append(document)
        return document

    def find_new(self, limit: int, without: Collection[UUID]) -> list[Document]:
        found = [one for one in self.offered if one.id not in self.mine and one.id not in without][:limit]
        self.batches.append(len(found))
        return found

    def read(self, container: str, name: str) -> Iterator[bytes]:
        assert container == "documents"
        content = self.blobs[name]
        return (content[start : start + 1000] for start in range(0, len(content), 1000))

    def adopt(self, document: Document, content: IO[bytes]) -> None:
        self.mine[document.id] = content.read()

    def run(self) -> tuple[int, list[UUID]]:
        return take_over(self.find_new, self.read, self.adopt)


def test_all_new_documents_are_taken_over_once() -> None:
    dms = Dms()
    contents = [f"document {number}".encode() for number in range(2 * BATCH + 5)]
    for content in contents:
        dms.offer(content)
    assert dms.run() == (len(contents), [])
    assert list(dms.mine.values()) == contents
    assert dms.batches == [BATCH, BATCH, 5, 0]
    assert dms.run() == (0, [])


def test_a_large_document_is_whole() -> None:
    dms = Dms()
    large = dms.offer(b"x" * 3_000_000)
    assert dms.run() == (1, [])
    assert dms.mine[large.id] == b"x" * 3_000_000


def test_a_wrong_content_is_not_taken_and_stops_no_other() -> None:
    dms = Dms()
    wrong = [dms.offer(b"invoice", lies=b"another"), dms.offer(b"invoice", lies=b""), dms.offer(b"", lies=b"x")]
    right = dms.offer(b"right")
    assert dms.run() == (1, [one.id for one in wrong])
    assert list(dms.mine) == [right.id]


def test_what_failed_is_new_again_in_the_next_run() -> None:
    dms = Dms()
    first = dms.offer(b"first")
    blob = dms.blobs.pop(first.blob_name)
    assert dms.run() == (0, [first.id])
    dms.blobs[first.blob_name] = blob
    assert dms.run() == (1, [])


def test_a_document_that_another_worker_took_is_no_fault() -> None:
    class Second(Dms):
        def adopt(self, document: Document, content: IO[bytes]) -> None:
            super().adopt(document, content)  # the other worker's row
            raise AlreadyTaken

    dms = Second()
    dms.offer(b"first")
    assert dms.run() == (0, [])


def test_each_reason_has_the_words_of_the_console_in_both_languages() -> None:
    example = runpy.run_path(str(Path(__file__).parents[2] / "docs/examples/mail_history.py"))
    for language, words in example["REASONS"].items():
        assert words == {str(code): texts(language)[f"tenant_history.reason.{code}"] for code in Reason}
        assert example["OTHER"][language]
