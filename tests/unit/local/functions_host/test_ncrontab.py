"""NCRONTAB, against the examples of Microsoft's page and the edges of the calendar."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from local.functions_host.ncrontab import parse

NOW = datetime(2026, 1, 15, 10, 59, 59, 400_000, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("0 */5 * * * *", datetime(2026, 1, 15, 11, 0, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 1, 15, 11, 0, tzinfo=UTC)),  # five fields
        ("* * * * * *", datetime(2026, 1, 15, 11, 0, tzinfo=UTC)),
        ("59 59 10 * * *", datetime(2026, 1, 16, 10, 59, 59, tzinfo=UTC)),  # this second has begun already
        ("0 30 9 * * *", datetime(2026, 1, 16, 9, 30, tzinfo=UTC)),
        ("0 30 9-17 * * *", datetime(2026, 1, 15, 11, 30, tzinfo=UTC)),
        ("0 30 9 * * 1-5", datetime(2026, 1, 16, 9, 30, tzinfo=UTC)),
        ("0 30 9 * Jan Mon", datetime(2026, 1, 19, 9, 30, tzinfo=UTC)),
        ("0 0 0 * * Sunday", datetime(2026, 1, 18, tzinfo=UTC)),
        ("0 15,45 */12 * * *", datetime(2026, 1, 15, 12, 15, tzinfo=UTC)),
        ("0 50/5 23 * * *", datetime(2026, 1, 15, 23, 50, tzinfo=UTC)),
        ("0 0 0 13 * Fri", datetime(2026, 2, 13, tzinfo=UTC)),  # both must hold, unlike in Unix cron
        ("0 0 0 31 4 *", None),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_the_next_occurrence_is_found(expression: str, following: datetime | None) -> None:
    assert parse(expression).next_after(NOW) == following


def test_the_schedule_is_in_utc_for_a_moment_in_any_zone() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert parse("0 0 12 * * *").next_after(east) == datetime(2026, 1, 15, 12, tzinfo=UTC)


def test_the_interval_between_two_occurrences_is_known() -> None:
    assert parse("0 */5 * * * *").interval_after(NOW) == timedelta(minutes=5)
    assert parse("0 0 0 31 4 *").interval_after(NOW) is None


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "six fields"),
        ("00:05:00", "six fields"),
        ("* * * * * * *", "six fields"),
        ("60 * * * * *", "'60' in the field second"),
        ("0 -1 * * * *", "'-1' can't be read in the field minute"),
        ("0 * 24 * * *", "from 0 to 23"),
        ("0 * * 0 * *", "from 1 to 31"),
        ("0 * * * Foo *", "'Foo' in the field month"),
        ("0 * * * * 7", "from 0 to 6"),
        ("0 5-1 * * * *", "covers nothing"),
        ("0 */0 * * * *", "covers nothing"),
        ("0 1,, * * * *", "can't be read"),
        ("0 *-5 * * * *", "can't be read"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_field(expression: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(expression)
