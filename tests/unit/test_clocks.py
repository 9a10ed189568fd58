"""Each age is taken by one clock: five minutes between app, Postgres and Graph change no decision.

docs/reliability.md, "One clock for each age".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from subscriptions.plan import LIFETIME, RENEW_BEFORE, Create, Listed, Renew, Step, remaining, steps, wanted
from tests.fakes.values import CLIENT_STATE, MAILBOX, NOON

ROOT = Path(__file__).parents[2]
GRAPH_ALLOWS = timedelta(minutes=10_080)
SKEWS = [timedelta(minutes=-5), timedelta(), timedelta(minutes=5)]  # of the app's clock, against Graph's
WANT = wanted(MAILBOX, "https://app.example", CLIENT_STATE)
_WALL_CLOCK = re.compile(r"\b(?:datetime\.now|datetime\.utcnow|time\.time)\(")


def uses_of_the_wall_clock(folder: str) -> Iterator[str]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if _WALL_CLOCK.search(line):
                yield f"{path.relative_to(ROOT)}:{number}"


def listed(left: timedelta) -> Listed:
    """A subscription that ends after this time, by Graph's clock, which shows noon."""
    return Listed(
        id="s1",
        resource=WANT.resource,
        change_type="created",
        notification_url=WANT.notification_url,
        lifecycle_url=WANT.lifecycle_url,
        expires_at=NOON + left,
    )


def plan(skew: timedelta, *ones: Listed) -> list[Step]:
    return list(steps(NOON + skew, ones, WANT))


def test_leases_and_ages_are_postgres_own() -> None:
    assert list(uses_of_the_wall_clock("ingest/storage")) == []


@pytest.mark.parametrize("path", ["ingest/transfer.py", "ingest/documents/budget.py", "ingest/graph/client.py"])
def test_a_deadline_is_not_of_the_wall_clock(path: str) -> None:
    assert _WALL_CLOCK.search((ROOT / path).read_text("utf-8")) is None


@pytest.mark.parametrize("skew", SKEWS)
def test_graph_accepts_the_end_that_either_clock_asks_for(skew: timedelta) -> None:
    (create,) = plan(skew)
    assert isinstance(create, Create)
    assert timedelta(days=6) < create.expires_at - NOON <= GRAPH_ALLOWS
    (renew,) = plan(skew, listed(timedelta(hours=1)))
    assert isinstance(renew, Renew)
    assert timedelta(days=6) < renew.expires_at - NOON <= GRAPH_ALLOWS


@pytest.mark.parametrize("skew", SKEWS)
def test_half_of_the_lifetime_is_left_when_a_subscription_is_renewed(skew: timedelta) -> None:
    minutes = timedelta(minutes=6)  # more than the skew
    assert plan(skew, listed(RENEW_BEFORE + minutes)) == []
    assert [type(step) for step in plan(skew, listed(RENEW_BEFORE - minutes))] == [Renew]
    assert timedelta(days=3) < RENEW_BEFORE


@pytest.mark.parametrize("skew", SKEWS)
def test_the_alert_on_a_subscription_is_off_by_the_skew_at_most(skew: timedelta) -> None:
    left = remaining(NOON + skew, [listed(timedelta(days=1))], WANT)
    assert abs(left - timedelta(days=1)) <= timedelta(minutes=5)


@pytest.mark.parametrize("before", [datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)])
def test_daylight_saving_moves_no_end(before: datetime) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    after = before + timedelta(days=1)
    assert before.astimezone(berlin).utcoffset() != after.astimezone(berlin).utcoffset()  # in the night between
    (create,) = steps(before, [], WANT)
    assert isinstance(create, Create)
    assert (create.expires_at - before, create.expires_at.tzinfo) == (LIFETIME, UTC)
