"""The ids of documents: UUIDs in the order of time."""

from __future__ import annotations

import time
from uuid import RFC_4122

from ingest.storage.copies import new_document_id


def test_an_id_is_a_uuid_of_version_7_with_the_present_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_document_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_one_moment_differ() -> None:
    assert len({new_document_id() for _ in range(1000)}) == 1000
