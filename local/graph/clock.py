"""Time as Graph writes and reads it: UTC, ISO 8601 with a `Z`."""

import re
from datetime import UTC, datetime

MINUTE = 60.0
_FRACTION = re.compile(r"\.(\d{6})\d*")


def now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


def to_seconds(moment: datetime) -> str:
    """`2026-11-23T01:03:39Z`: messages have second resolution in Exchange."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_fraction(moment: datetime) -> str:
    """`2026-11-23T01:03:39.1234560Z`: subscriptions have seven digits after the point."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def parse(text: str) -> datetime:
    """Read an Edm.DateTimeOffset (up to seven fractional digits); without an offset it is taken as UTC.

    Raises ValueError where it is no date and time.
    """
    moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
