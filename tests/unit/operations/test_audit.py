"""The chain of operator actions, without a database: every field is covered, and every break has its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.errors import OperatorError
from operations.audit import AuditEntry, verified

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


def chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    previous = ""
    for number in range(1, length + 1):
        entry = AuditEntry(
            number=number,
            at=NOON + timedelta(microseconds=number),
            login="anna",
            action="tenant.disable",
            subject=f"tenant {number}",
            details="{}",
            why="ticket 7, Größe: €",
            remark="",
            previous=previous,
            hash="",
        )
        entry = replace(entry, hash=entry.computed_hash())
        entries.append(entry)
        previous = entry.hash
    return entries


def verify(entries: Sequence[AuditEntry], head: str | None = None) -> int:
    return verified(iter(entries), head=head).entries


def test_a_chain_without_a_break_is_counted() -> None:
    assert verify([]) == 0
    assert verify(chain(5)) == 5


@pytest.mark.parametrize("name", [field.name for field in fields(AuditEntry) if field.name != "number"])
def test_every_field_is_covered(name: str) -> None:
    entries = chain(3)
    other: object = NOON + timedelta(days=1) if name == "at" else "other"
    changed: dict[str, Any] = {name: other}
    entries[1] = replace(entries[1], **changed)
    with pytest.raises(OperatorError, match="entry 2 is not"):
        verify(entries)


def test_no_two_entries_have_the_same_text() -> None:
    """A field cannot run over into the next one."""
    one, two = replace(chain(1)[0], why="ab", remark="c"), replace(chain(1)[0], why="a", remark="bc")
    assert one.computed_hash() != two.computed_hash()


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_entry_is_named(missing: int) -> None:
    entries = [entry for entry in chain(3) if entry.number != missing]
    with pytest.raises(OperatorError, match=f"entry {missing} is missing"):
        verify(entries)


def test_an_end_that_was_cut_off_shows_by_a_noted_hash_only() -> None:
    entries = chain(3)
    assert verify(entries[:2]) == 2
    assert verify(entries, head=entries[1].hash) == 3
    with pytest.raises(OperatorError, match="--head"):
        verify(entries[:2], head=entries[2].hash)


def test_a_chain_that_was_rewritten_shows_by_a_noted_hash() -> None:
    noted = chain(3)[-1].hash
    first = replace(chain(1)[0], why="rewritten")
    first = replace(first, hash=first.computed_hash())
    second = replace(chain(2)[1], previous=first.hash)
    second = replace(second, hash=second.computed_hash())
    assert verify([first, second]) == 2
    with pytest.raises(OperatorError, match="--head"):
        verify([first, second], head=noted)
