"""One hook around every I/O operation."""

from collections.abc import Iterator

import pytest

from ingest import trace


@pytest.fixture
def spans() -> Iterator[list[tuple[str, trace.Phase]]]:
    events: list[tuple[str, trace.Phase]] = []
    stop = trace.subscribe(lambda name, phase: events.append((name, phase)))
    yield events
    stop()


def test_a_listener_is_called_before_and_after_a_span(spans: list[tuple[str, trace.Phase]]) -> None:
    with trace.span("sql.claim"):
        assert spans == [("sql.claim", "before")]
    assert spans == [("sql.claim", "before"), ("sql.claim", "after")]


def test_one_that_raised_has_no_after(spans: list[tuple[str, trace.Phase]]) -> None:
    with pytest.raises(ValueError, match="x"), trace.span("sql.claim"):
        raise ValueError("x")
    assert spans == [("sql.claim", "before"), ("sql.claim", "failed")]


def test_an_amount_reaches_every_meter() -> None:
    events: list[tuple[str, float]] = []
    stop = trace.subscribe_meter(lambda name, amount: events.append((name, amount)))
    trace.count("blob.bytes", 7)
    stop()
    trace.count("blob.bytes", 8)
    assert events == [("blob.bytes", 7)]


def test_an_ended_subscription_is_called_no_more() -> None:
    events: list[str] = []
    stop = trace.subscribe(lambda name, _: events.append(name))
    stop()
    with trace.span("sql.claim"):
        pass
    assert events == []


def test_a_listener_may_stop_what_is_about_to_happen() -> None:
    def refuse(name: str, phase: trace.Phase) -> None:
        raise ConnectionError(f"{name} {phase}")

    stop = trace.subscribe(refuse)
    try:
        with pytest.raises(ConnectionError, match="sql claim before"), trace.span("sql claim"):
            pytest.fail("entered")
    finally:
        stop()
