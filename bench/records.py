"""A database full of recorded mails: 1,000 tenants, each mail with one document, and all that a search looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from local.postgres import Postgres
from operations.schema import migrations

TENANTS = 1000
_FILLED = ("ingest.claim", "ingest.message", "ingest.part", "ingest.document")
_TENANTS: LiteralString = (
    "insert into dms_tenant (name) select 'Mandant ' || n from generate_series(1, %(tenants)s) as n"
)
# Each mail has a frequent word (rechnung), one of 5,000 suppliers, a number and a hash of its own, and a file named by
# the number. The ids of documents are those that the app gives, by time.
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
        'documents', 1 + id %% %(tenants)s || '/' || id, 50000,
        encode(sha256(id::text::bytea), 'hex'), 1,
        to_tsvector('simple', 'rechnung re ' || id || ' buchhaltung lieferant' || id %% 5000 || ' example re ' || id
            || ' pdf')
    from ingest.claim
    """,
    """
    insert into ingest.part (message_id, tenant_id, position, disposition, name, declared_type, size, sha256, blob_name)
    select id, tenant_id, 1, 'document', 'RE-' || claim_id || '.pdf', 'application/pdf', 1000, sha256,
        blob_name || '/001'
    from ingest.message
    """,
    """
    insert into ingest.document (id, tenant_id, message_id, part_id, name, content_type, size, sha256, container,
        blob_name)
    select uuidv7(message.received_at - now()), part.tenant_id, message_id, part.id, name, declared_type, part.size,
        part.sha256, 'documents', part.blob_name
    from ingest.part join ingest.message on message.id = message_id
    """,
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A database full of recorded mails, by the libpq URLs of its owner and of the app."""

    owner_url: str
    app_url: str


@contextmanager
def databases(data: Path, *counts: int) -> Iterator[list[Recorded]]:
    """Run one Postgres below `data`, and yield a database for each count of recorded mails.

    `fill` may have written the databases before.
    """
    if not data.exists():
        fill(data, *counts)
    with Postgres(data / "postgres") as postgres:
        postgres.migrate()  # the app's password is another one after each start
        yield [_database(postgres, count) for count in counts]


def fill(data: Path, *counts: int) -> None:
    """Write a database for each count of recorded mails below `data`. Postgres is stopped afterwards."""
    with Postgres(data / "postgres") as postgres:
        postgres.migrate()
        for count in counts:
            with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(_name(count))))
            owner_url = _database(postgres, count).owner_url
            migrations.migrate(owner_url)
            with psycopg.connect(owner_url, autocommit=True) as connection:
                _fill(connection, count)


def _name(count: int) -> str:
    return f"recorded_{count}"


def _database(postgres: Postgres, count: int) -> Recorded:
    owner_url, app_url = (make_conninfo(url, dbname=_name(count)) for url in (postgres.owner_url, postgres.app_url))
    return Recorded(owner_url=owner_url, app_url=app_url)


def _fill(connection: psycopg.Connection, count: int) -> None:
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
