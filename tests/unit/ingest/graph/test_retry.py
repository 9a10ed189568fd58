"""Retry-After in every form that Graph and the proxies before it write, and in forms that make no sense."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.graph.retry import MAX_BACKOFF_SECONDS, retry_after_seconds
from tests.fakes.graph_endpoint import Answer, error, graph

OK = Answer(content={"id": "A1"})
OUTLOOK_LIMIT = "ApplicationThrottled"


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("0", 0.0), ("0.249", 0.249), (" 1 ", 1.0), ("-3", 0.0), ("1e1", 10.0)]
)
def test_retry_after_is_kept(header: str, seconds: float) -> None:
    one = graph(error(429, OUTLOOK_LIMIT, Retry_After=header), OK)
    one.client.request("get_message", "GET", "/users/x/messages/A1")
    assert one.time.slept == [seconds]


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "1e999", "Mon, 99 Foo 2026", "١٢"])
def test_a_retry_after_that_makes_no_sense_is_as_none(header: str) -> None:
    one = graph(error(429, OUTLOOK_LIMIT, Retry_After=header), OK)
    one.client.request("get_message", "GET", "/users/x/messages/A1")
    assert 0 <= one.time.slept[0] <= MAX_BACKOFF_SECONDS


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert retry_after_seconds({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, now) == 30
    assert retry_after_seconds({"Retry-After": "Sun, 01 Mar 2026 12:00:30 -0000"}, now) == 30
    assert retry_after_seconds({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, now) == 0


@given(st.one_of(st.text(max_size=40), st.integers().map("Sun, 01 Mar {} 12:00:00 GMT".format), st.floats().map(str)))
def test_no_retry_after_breaks_anything(header: str) -> None:
    seconds = retry_after_seconds({"Retry-After": header})
    assert seconds is None or 0 <= seconds < float("inf")
