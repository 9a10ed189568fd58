"""A database full of recorded mails: 1,000 tenants, each mail with one document, and all that a search looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from local.postgres import Postgres

TENANTS = 1000
_FILLED = ("ingest.claim", "ingest.message", "ingest.part", "ingest.document")
_TENANTS: LiteralString = (
    "insert into dms_tenant (name) select 'Mandant ' || n from generate_series(1, %(tenants)s) as n"
)
# Each mail has a frequent word (rechnung), one of 5,000 suppliers, a number of its own, and a file named by it.
_MAILS: tuple[LiteralString, ...] = (
    """
    insert into ingest.claim (mailbox, message_id, state, trigger, fence, attempts, copies, received_at, ended_at)
    select 'upload@dms.cloud', 'AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A' || md5(n::text), 'deleted', 'webhook', 1, 1, 1,
        now() - n * interval '20 seconds', now()
    from generate_series(1, %(count)s) as n
    """,
    """
    insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at,
        stored_at, container, blob_name, size, sha256, rules_version, search)
    select id, 1 + id %% %(tenants)s, '<' || id || '@lieferant.example>', 'Rechnung RE-' || id,
        'buchhaltung@lieferant' || id %% 5000 || '.example', 'webhook', received_at, received_at + interval '3 seconds',
        'documents', 1 + id %% %(tenants)s || '/' || id, 50000, repeat('0', 64), 1,
        to_tsvector('simple', 'rechnung re ' || id || ' buchhaltung lieferant' || id %% 5000 || ' example re ' || id
            || ' pdf')
    from ingest.claim
    """,
    """
    insert into ingest.part (message_id, tenant_id, position, disposition, name, declared_type, size, sha256, blob_name)
    select id, tenant_id, 1, 'document', 'RE-' || claim_id || '.pdf', 'application/pdf', 1000, repeat('0', 64),
        blob_name || '/001'
    from ingest.message
    """,
    """
    insert into ingest.document (tenant_id, message_id, part_id, name, content_type, size, sha256, container, blob_name)
    select tenant_id, message_id, id, name, declared_type, size, sha256, 'documents', blob_name from ingest.part
    """,
)


@contextmanager
def database(data: Path, count: int) -> Iterator[Postgres]:
    """Run a Postgres below `data` with `count` recorded mails, which `fill` may have written before."""
    if not data.exists():
        fill(data, count)
    with Postgres(data / "postgres") as postgres:
        postgres.migrate()  # the app's password is another one after each start
        yield postgres


def fill(data: Path, count: int) -> None:
    """Write a database with `count` recorded mails below `data`. Postgres is stopped afterwards."""
    with Postgres(data / "postgres") as postgres:
        postgres.migrate()
        with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
            connection.execute("set synchronous_commit = off")
            connection.execute("set maintenance_work_mem = '256MB'")
            connection.execute("alter table ingest.message no force row level security")
            connection.execute(_TENANTS, {"tenants": TENANTS})
            with _without_triggers(connection), _without_keys_and_indexes(connection):
                for statement in _MAILS:
                    connection.execute(statement, {"count": count, "tenants": TENANTS})
            connection.execute("alter table ingest.message force row level security")
            connection.execute("vacuum analyze")


@contextmanager
def _without_triggers(connection: psycopg.Connection) -> Iterator[None]:
    """Switch the triggers off for the block: each is called a million times, and announces documents to no listener."""
    for table in _FILLED:
        connection.execute(f"alter table {table} disable trigger user".encode())
    yield
    for table in _FILLED:
        connection.execute(f"alter table {table} enable trigger user".encode())


@contextmanager
def _without_keys_and_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Drop all keys and indexes for the block: one pass over the whole table is faster than a million."""
    keys = connection.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where contype in ('f', 'p', 'u') and connamespace = 'ingest'::regnamespace"
        " order by contype = 'f', conname"  # a foreign key needs the key to which it refers
    ).fetchall()
    indexes = connection.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
        " join pg_class on pg_class.oid = indrelid where relnamespace = 'ingest'::regnamespace and not indisunique"
    ).fetchall()
    for table, name, _ in reversed(keys):
        connection.execute(f'alter table {table} drop constraint "{name}"'.encode())
    for name, _ in indexes:
        connection.execute(f"drop index {name}".encode())
    yield
    for _, definition in indexes:
        connection.execute(definition.encode())
    for table, name, definition in keys:
        connection.execute(f'alter table {table} add constraint "{name}" {definition}'.encode())
