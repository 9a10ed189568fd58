from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.model.claim import ClaimState
from operations.mails.search import MAX_WORDS, Query, bounds, understand

LATE = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)  # in Berlin the 27th has begun


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("RE-2026-1188", Query(words=("re", "2026", "1188"))),
        ("Müller Rechnung müller", Query(words=("müller", "rechnung"))),
        ("gestern Telekom", Query(words=("telekom",), day=date(2026, 11, 26))),
        ("26.11.2026", Query(day=date(2026, 11, 26))),
        ("2026-11-26", Query(day=date(2026, 11, 26))),
        ("31.12.9999", Query(words=("31", "12", "9999"))),
        ("2026-13-45", Query(words=("2026", "13", "45"))),
        ("Quarantäne no_token", Query(words=("no", "token"), state=ClaimState.QUARANTINED)),
        ("anna@lieferant.example", Query(words=("anna", "lieferant", "example"))),
    ],
)
def test_a_search_box_is_understood(text: str, query: Query) -> None:
    assert understand(text, now=LATE) == query


@given(st.text())
def test_any_text_is_understood(text: str) -> None:
    query = understand(text)
    assert len(query.words) <= MAX_WORDS
    assert query.day is None or bounds(query.day)
    assert all(word.strip() and not set(word) & set("&|!():*<>'\\\"") for word in query.words)
