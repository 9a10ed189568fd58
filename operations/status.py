"""The state of the entrance at the moment, from Postgres alone: the figures of `status` and of the console's overview.

The figures of mails are read from claims, for which the app's own rights are enough. Ages are by Postgres's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow

from operations.database import connect, rows_as

HOURS = 48
TENANT_DAYS = 30
MOST_TENANTS = 20
_RECENT_CLAIMS = 100_000  # claims that are looked through for the last one of a kind

_NOW: LiteralString = """
with recent as (
    select trigger, first_seen_at, id from ingest.claim order by id desc limit %(recent)s
)
select count(*) as waiting,
    count(*) filter (where attempts > 1 or deferrals > 1) as tried_again,
    count(*) filter (
        where last_error is not null and greatest(first_seen_at, ended_at) < now() - interval '1 day'
    ) as failing,
    extract(epoch from now() - min(greatest(coalesce(received_at, first_seen_at), ended_at)))::float8 as oldest_seconds,
    (select first_seen_at from recent where trigger = 'webhook' order by id desc limit 1) as last_notified_at,
    (select first_seen_at from recent where trigger = 'sweep' order by id desc limit 1) as last_swept_at
from ingest.claim where state in ('waiting', 'processing', 'stored')
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
    where ended_at > now() - interval '1 day'
) as ended
"""

_HOURS: LiteralString = """
with ended as (
    select date_trunc('hour', ended_at) as at, count(*) filter (where state = 'deleted') as stored,
        count(*) filter (where state = 'quarantined') as quarantined,
        percentile_cont(0.5) within group (order by seconds) filter (where state = 'deleted') as p50,
        percentile_cont(0.99) within group (order by seconds) filter (where state = 'deleted') as p99
    from (
        select *, extract(epoch from ended_at - received_at)::float8 as seconds from ingest.claim
        where ended_at > now() - %(hours)s * interval '1 hour'
    ) as claim
    group by 1
)
select at, coalesce(stored, 0) as stored, coalesce(quarantined, 0) as quarantined, p50, p99
from generate_series(date_trunc('hour', now()) - (%(hours)s - 1) * interval '1 hour', date_trunc('hour', now()),
        interval '1 hour') as at
    left join ended using (at)
order by at
"""

_QUARANTINE: LiteralString = """
select coalesce(reason, 'none') as reason, count(*) as mails,
    count(*) filter (where ended_at > now() - interval '1 day') as new
from ingest.claim where state = 'quarantined' group by 1 order by 2 desc
"""

_MAY_SEE_TENANTS: LiteralString = "select has_table_privilege('ingest.finding', 'select') as allowed"

_OF_TENANTS: LiteralString = """
select (select count(*) from ingest.held) as held,
    (select max(stored_at) from (select stored_at from ingest.message order by id desc limit 1000) as newest)
        as last_stored_at
"""

_VOLUMES: LiteralString = """
select volume.tenant_id, volume.mails, volume.documents, volume.bytes,
    (select tenant.name from ingest.tenant_name as tenant where tenant.id = volume.tenant_id) as tenant
from (
    select tenant_id, count(*) as mails, sum(size)::bigint as bytes,
        (
            select count(*) from ingest.document
            where document.tenant_id = message.tenant_id and created_at > now() - %(days)s * interval '1 day'
        ) as documents
    from ingest.message where stored_at > now() - %(days)s * interval '1 day'
    group by tenant_id order by mails desc limit %(limit)s
) as volume order by volume.mails desc
"""

_EXAMINATION: LiteralString = """
select at, coalesce(array_agg(check_name order by id) filter (where status = 'failed'), '{}') as failed,
    coalesce(array_agg(check_name order by id) filter (where status = 'warning'), '{}') as warned
from ingest.finding where at = (select max(at) from ingest.finding) group by at
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """The mails that ended in the hour from `at`, and the seconds from Exchange's receipt to stored and deleted."""

    at: datetime
    stored: int
    quarantined: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonCount:
    """The mails in Quarantine for one reason: all of them, and the new ones of the last day."""

    reason: str
    mails: int
    new: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantVolume:
    """A tenant's last TENANT_DAYS days: copies, documents, bytes of originals."""

    tenant_id: int | UUID
    tenant: str | None
    mails: int
    documents: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """The last daily examination: its time, and the names of the checks that failed or warned."""

    at: datetime
    failed: tuple[str, ...]
    warned: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The figures of one moment. `oldest_seconds` is None where no mail waits.

    `failing`: mails that wait and were tried in vain for more than a day.

    Of the last day: the mails that ended, those of them that no notification announced, the seconds from Exchange's
    receipt to the end (median and 99 %), and the share within 60 s. `hours`: the last HOURS hours, oldest first.

    For an operator's login alone: `held`, the mails that wait for an approval, `last_stored_at`, the MOST_TENANTS
    tenants with the most mails, and the last examination. The app's own login may not read what tenants got.
    """

    waiting: int
    tried_again: int
    failing: int
    oldest_seconds: float | None
    last_notified_at: datetime | None
    last_swept_at: datetime | None
    mails: int
    unannounced: int
    p50: float | None
    p99: float | None
    within_a_minute: float | None
    hours: tuple[Hour, ...]
    quarantine: tuple[ReasonCount, ...]
    held: int | None = None
    last_stored_at: datetime | None = None
    tenants: tuple[TenantVolume, ...] = ()
    examination: Examination | None = None


def read_status(database_url: str) -> Status:
    """Read all figures in one transaction. Raises OperatorError."""
    with connect(database_url) as connection:
        figures = {
            **_row(connection, _NOW, {"recent": _RECENT_CLAIMS}),
            **_row(connection, _DAY),
            "hours": tuple(rows_as(connection, Hour, _HOURS, {"hours": HOURS})),
            "quarantine": tuple(rows_as(connection, ReasonCount, _QUARANTINE, {})),
        }
        if _row(connection, _MAY_SEE_TENANTS)["allowed"]:
            span = {"days": TENANT_DAYS, "limit": MOST_TENANTS}
            figures |= _row(connection, _OF_TENANTS)
            figures["tenants"] = tuple(rows_as(connection, TenantVolume, _VOLUMES, span))
            figures["examination"] = _examination(connection)
    return Status(**figures)


def _examination(connection: Connection[DictRow]) -> Examination | None:
    row = connection.execute(_EXAMINATION).fetchone()
    if row is None:
        return None
    return Examination(at=row["at"], failed=tuple(row["failed"]), warned=tuple(row["warned"]))


def _row(
    connection: Connection[DictRow], statement: LiteralString, parameters: Mapping[str, int] | None = None
) -> DictRow:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups always has one row
    return row
