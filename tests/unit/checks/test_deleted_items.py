"""The warning before Deleted Items fill a mailbox."""

from datetime import UTC, datetime, timedelta

import pytest

from checks.app import MAILBOX_BYTES, fill_of
from ingest.graph.deleted import DeletedItems

NOW = datetime(2026, 3, 10, tzinfo=UTC)
GB = 1_000_000_000


def deleted(*, gigabytes: float | None, last_week: int = 0) -> DeletedItems:
    size = None if gigabytes is None else round(gigabytes * GB)
    return DeletedItems(mails=1000, size=size, oldest=NOW - timedelta(days=29), last_week=last_week)


def test_a_fill_is_said_in_words() -> None:
    said, full = fill_of(deleted(gigabytes=20, last_week=70), NOW)
    assert said == "1000 mails, 20.0 of 50 GB, the oldest of 29 days, 0.20 GB a day in the last week"
    assert not full


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (deleted(gigabytes=34.9), False),
        (deleted(gigabytes=35.1), True),
        (deleted(gigabytes=30, last_week=250), False),  # 1.07 GB a day: a retention policy of 30 days holds this
        (deleted(gigabytes=10, last_week=1000), False),  # new, and full in 28 days
        (deleted(gigabytes=20, last_week=1000), True),  # full in 10 days
        (deleted(gigabytes=None, last_week=1000), False),
    ],
)
def test_a_mailbox_is_full_soon_by_fill_or_by_growth(found: DeletedItems, expected: bool) -> None:  # noqa: FBT001 - a row
    assert fill_of(found, NOW)[1] is expected


def test_an_empty_folder_is_empty() -> None:
    assert fill_of(DeletedItems(mails=0, size=0, oldest=None, last_week=0), NOW) == ("empty", False)
    assert MAILBOX_BYTES == 50 * GB
