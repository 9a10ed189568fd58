"""The row on growth: the time of Postgres for one mail beside a thousand recorded messages and beside a million."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ingest.codes import Disposition, Rule
from ingest.model import (
    ClaimState,
    Message,
    MessageRef,
    Part,
    StoredBlob,
    Tenant,
)
from ingest.storage.claims import Claims
from ingest.storage.copies import Copies
from ingest.storage.database import Database
from ingest.storage.tenants import Tenants
from local.postgres import Postgres

_TOKEN = "0" * 32
_FILL = """
insert into ingest.claim (mailbox, message_id, state, trigger, fence, attempts, copies, received_at, ended_at)
select 'upload@dms.cloud', 'AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A' || md5(n::text), 'deleted', 'webhook', 1, 1, 1,
    now(), now()
from generate_series(1, %(count)s) as n;
insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at, container,
    blob_name, size, sha256)
select id, %(tenant)s, '<' || id || '@example.com>', 'Rechnung ' || id, 'rechnung@example.com', 'webhook', now(),
    'documents', %(tenant)s || '/' || id, 1000, repeat('0', 64)
from ingest.claim;
insert into ingest.part (message_id, tenant_id, position, disposition, name, declared_type, size, sha256, blob_name)
select id, %(tenant)s, 1, 'document', 'Rechnung.pdf', 'application/pdf', 1000, repeat('0', 64),
    %(tenant)s || '/' || id || '/001'
from ingest.message;
insert into ingest.document (tenant_id, message_id, part_id, name, content_type, size, sha256, container, blob_name)
select %(tenant)s, message_id, id, name, declared_type, size, sha256, 'documents', blob_name from ingest.part
"""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Milliseconds of SQL for one mail, the median of each round, beside 1,000 and beside `recorded` messages."""

    recorded: int
    few: list[float]
    many: list[float]


def measure(data: Path, *, recorded: int, mails: int, rounds: int) -> Growth:
    """Run the statements of `mails` mails in each round, beside few and beside `recorded` messages."""
    times: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as running:
        cycles = [running.enter_context(_database(data / str(count), count)) for count in (1_000, recorded)]
        for number in range(rounds + 1):
            for cycle, found in zip(cycles, times, strict=True):
                median = statistics.median(cycle(f"{number}-{mail}") for mail in range(mails))
                if number > 0:  # the first one only warms the caches
                    found.append(median)
    return Growth(recorded=recorded, few=times[0], many=times[1])


@contextmanager
def _database(data: Path, recorded: int) -> Iterator[Callable[[str], float]]:
    postgres = Postgres(data)
    postgres.start()
    try:
        postgres.migrate()
        tenant = _fill(postgres.owner_url, recorded)
        database = Database(postgres.app_url)
        yield lambda name: _one_mail(database, tenant, name)
        database.close()
    finally:
        postgres.stop()


def _fill(owner_url: str, recorded: int) -> Tenant:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        row = connection.execute(
            "insert into dms_tenant (name, is_active, ingest_token) values ('Bench', true, %s) returning id", [_TOKEN]
        ).fetchone()
        assert row is not None  # noqa: S101 - `returning` always gives one
        connection.execute("set synchronous_commit = off")
        with _without_foreign_keys(connection):
            for statement in _FILL.split(";"):
                connection.execute(statement.encode(), {"count": recorded, "tenant": row[0]})
        connection.execute("vacuum analyze")
    return Tenant(id=row[0])


@contextmanager
def _without_foreign_keys(connection: psycopg.Connection) -> Iterator[None]:
    """Drop the foreign keys for the block: one check of the whole table is faster than a million."""
    found = connection.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where contype = 'f' and connamespace = 'ingest'::regnamespace"
    ).fetchall()
    for table, name, _ in found:
        connection.execute(f'alter table {table} drop constraint "{name}"'.encode())
    yield
    for table, name, definition in found:
        connection.execute(f'alter table {table} add constraint "{name}" {definition}'.encode())


def _one_mail(database: Database, tenant: Tenant, name: str) -> float:
    """Run every statement of a mail with one document and return the milliseconds."""
    ref = MessageRef(mailbox="upload@dms.cloud", message_id=f"AAkALgBench{name}")
    message = Message(
        ref=ref,
        internet_message_id=f"<{name}@bench.example>",
        subject="Rechnung",
        sender="rechnung@example.com",
        to=(),
        cc=(),
        received_at=datetime.now(UTC),
    )
    blob = StoredBlob(container="documents", name=f"{tenant.id}/{name}", size=1, sha256="0" * 64)
    part = Part(
        position=1,
        name="Rechnung.pdf",
        declared_type="application/pdf",
        disposition=Disposition.DOCUMENT,
        rule=Rule.FILE,
        size=blob.size,
        sha256=blob.sha256,
        blob=blob,
    )
    claims, tenants = Claims(database, lease_seconds=600, retry_seconds=300), Tenants(database)
    copies = Copies(database, tenants)
    began = time.perf_counter()
    claim = claims.claim(ref)
    assert claim is not None  # noqa: S101 - nobody else is there
    [match] = tenants.resolve_tokens([_TOKEN])
    with tenants.tenant_context(match.tenant):
        copies.save(claim, message, blob, [part], last=True)
    claims.end(claim, ClaimState.DELETED)
    milliseconds = 1000 * (time.perf_counter() - began)
    assert match.tenant == tenant  # noqa: S101 - a wrong one would make the measurement worthless
    return milliseconds
