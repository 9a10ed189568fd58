"""The entrance in figures, from Postgres alone: what is open, how old, how fast, and for whom.

Ages end at the database's clock, so that the clocks of the app's instances do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from operations.database import connect

HOURS = 48
DAYS = 30
_RECENT_CLAIMS = 100_000  # claims that are looked through for the last one of a kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The entrance now. `oldest_seconds`: age of the oldest mail that is not done, None without one.

    `held`: mails that wait for an approval.
    """

    oldest_seconds: float | None
    open: int
    held: int
    last_stored_at: datetime | None
    last_notified_at: datetime | None
    last_swept_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """One hour: copies stored, and seconds from receipt to stored (None without copies)."""

    at: datetime
    mails: int
    p50_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantVolume:
    """A tenant's last DAYS days: copies, documents, bytes of originals."""

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
class Figures:
    """All figures. `hours`: the last HOURS hours, oldest first. `reasons`: mails in Quarantine by reason.

    `examination` is None before the first one.
    """

    health: Health
    hours: Sequence[Hour]
    reasons: Mapping[str, int]
    tenants: Sequence[TenantVolume]
    examination: Examination | None = None


_HEALTH: LiteralString = """
with recent as (
    select trigger, first_seen_at, id from ingest.claim order by id desc limit %(recent)s
)
select
    (
        select extract(epoch from now() - min(coalesce(received_at, first_seen_at)))::double precision
        from ingest.claim where state in ('waiting', 'processing', 'stored')
    ) as oldest_seconds,
    (select count(*) from ingest.claim where state in ('waiting', 'processing', 'stored')) as open,
    (select count(*) from ingest.held) as held,
    (
        select max(stored_at) from (select stored_at from ingest.message order by id desc limit 1000) as newest
    ) as last_stored_at,
    (select first_seen_at from recent where trigger = 'webhook' order by id desc limit 1) as last_notified_at,
    (select first_seen_at from recent where trigger = 'sweep' order by id desc limit 1) as last_swept_at
"""
_HOURLY: LiteralString = """
select hour as at, count(message.id) as mails,
    percentile_cont(0.5) within group (order by extract(epoch from stored_at - received_at)) as p50_seconds,
    percentile_cont(0.99) within group (order by extract(epoch from stored_at - received_at)) as p99_seconds
from generate_series(
    date_trunc('hour', now()) - (%(hours)s - 1) * interval '1 hour', date_trunc('hour', now()), '1 hour'
) as hour
left join ingest.message on received_at >= hour and received_at < hour + interval '1 hour'
group by hour order by hour
"""
_REASONS: LiteralString = """
select coalesce(reason, 'none') as reason, count(*) as mails from ingest.claim
where state = 'quarantined' group by 1 order by 2 desc
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


def read_figures(database_url: str, *, tenants: int = 20) -> Figures:
    """Return the figures, of the `tenants` with the most mails. Raises OperatorError."""
    with connect(database_url) as connection:
        with connection.cursor(row_factory=class_row(Health)) as cursor:
            health = cursor.execute(_HEALTH, {"recent": _RECENT_CLAIMS}).fetchone()
        assert health is not None  # noqa: S101 - a select without from gives a row
        with connection.cursor(row_factory=class_row(Hour)) as hours:
            hourly = hours.execute(_HOURLY, {"hours": HOURS}).fetchall()
        reasons = {row["reason"]: int(row["mails"]) for row in connection.execute(_REASONS)}
        with connection.cursor(row_factory=class_row(TenantVolume)) as volumes:
            by_tenant = volumes.execute(_VOLUMES, {"days": DAYS, "limit": tenants}).fetchall()
        found = connection.execute(_EXAMINATION).fetchone()
    last = None
    if found is not None:
        last = Examination(at=found["at"], failed=tuple(found["failed"]), warned=tuple(found["warned"]))
    return Figures(health=health, hours=hourly, reasons=reasons, tenants=by_tenant, examination=last)
