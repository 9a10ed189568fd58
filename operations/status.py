"""The state of the entrance at the moment, from Postgres alone: the figures of the dashboard without a dashboard.

Everything but the tenants is read from claims, for which the app's own rights are enough. Ages are by Postgres's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from operations.database import connect

HOURS = 24

_NOW: LiteralString = """
select count(*) as waiting,
    count(*) filter (where attempts > 1 or deferrals > 1) as tried_again,
    count(*) filter (where last_error is not null and first_seen_at < now() - interval '1 day') as failing,
    extract(epoch from now() - min(coalesce(received_at, first_seen_at)))::float8 as oldest_seconds
from ingest.claim where state in ('waiting', 'processing', 'stored')
"""

_HOURS: LiteralString = """
select hour,
    count(claim.id) filter (where state = 'deleted') as stored,
    count(claim.id) filter (where state = 'quarantined') as quarantined
from generate_series(date_trunc('hour', now()) - %(hours)s * interval '1 hour' + interval '1 hour',
        date_trunc('hour', now()), interval '1 hour') as hour
    left join ingest.claim on ended_at >= hour and ended_at < hour + interval '1 hour'
group by hour order by hour
"""

# Three minutes: as long as Graph's notification may take.
_DAY: LiteralString = """
select count(*) as mails,
    count(*) filter (where trigger = 'sweep' and first_seen_at - received_at > interval '3 minutes') as unannounced,
    percentile_cont(0.5) within group (order by seconds) filter (where state = 'deleted') as p50,
    percentile_cont(0.99) within group (order by seconds) filter (where state = 'deleted') as p99,
    avg((seconds <= 60)::int) filter (where state = 'deleted')::float8 as within_a_minute
from (
    select *, extract(epoch from ended_at - received_at)::float8 as seconds from ingest.claim
    where ended_at > now() - %(hours)s * interval '1 hour'
) as ended
"""

_QUARANTINE: LiteralString = """
select coalesce(reason, 'unknown') as reason, count(*) as mails,
    count(*) filter (where ended_at > now() - %(hours)s * interval '1 hour') as new
from ingest.claim where state = 'quarantined' group by 1 order by 2 desc
"""

# The app's own login may not read what tenants got: for it the list is empty.
_MAY_SEE_TENANTS = """
select has_column_privilege('ingest.message', 'tenant_id', 'select')
    and has_column_privilege('ingest.message', 'stored_at', 'select')
    and has_column_privilege('ingest.message', 'size', 'select') as allowed
"""

_TENANTS: LiteralString = """
select tenant_id::text as tenant, count(*) as mails, sum(size)::bigint as bytes
from ingest.message where stored_at > now() - %(hours)s * interval '1 hour'
group by 1 order by 2 desc, 1 limit 10
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """The mails that ended in one hour."""

    hour: datetime
    stored: int
    quarantined: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The mails in Quarantine for one reason: all of them, and the new ones of the last HOURS."""

    reason: str
    mails: int
    new: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """The volume of one tenant in the last HOURS; bytes are those of the originals."""

    tenant: str
    mails: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The figures of one moment. `oldest_seconds` is None where no mail waits.

    `failing`: mails that wait and were tried in vain for more than a day.

    Of the last HOURS: the mails that ended, those of them that no notification announced, the seconds from Exchange's
    receipt to the end (median and 99 %), and the share within 60 s.
    """

    waiting: int
    tried_again: int
    failing: int
    oldest_seconds: float | None
    mails: int
    unannounced: int
    p50: float | None
    p99: float | None
    within_a_minute: float | None
    hours: tuple[Hour, ...]
    quarantine: tuple[Kept, ...]
    tenants: tuple[Volume, ...]


def read_status(database_url: str) -> Status:
    """Read all figures in one transaction. Raises OperatorError."""
    with connect(database_url) as connection:
        span = {"hours": HOURS}
        return Status(
            **_row(connection, _NOW, {}),
            **_row(connection, _DAY, span),
            hours=tuple(Hour(**row) for row in connection.execute(_HOURS, span)),
            quarantine=tuple(Kept(**row) for row in connection.execute(_QUARANTINE, span)),
            tenants=_tenants(connection, span),
        )


def _tenants(connection: Connection[DictRow], span: dict[str, int]) -> tuple[Volume, ...]:
    if not _row(connection, _MAY_SEE_TENANTS, {})["allowed"]:
        return ()
    return tuple(Volume(**row) for row in connection.execute(_TENANTS, span))


def _row(connection: Connection[DictRow], statement: LiteralString, parameters: dict[str, int]) -> DictRow:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups always has one row
    return row
