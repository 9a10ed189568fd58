"""A session on a demoted server: it passes every check that only reads, and must not be used again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest import trace
from ingest.errors import DatabaseUnavailable
from ingest.model.message_ref import MessageRef
from ingest.storage.claims import Claims
from ingest.storage.database import Database
from ingest.storage.gate import MailboxGate
from local.postgres import Postgres

DEMOTE = "set default_transaction_read_only = on"  # for this session, as on a primary that became a replica


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    with closing(Database(postgres.app_url)) as database:
        yield database


def new_ref() -> MessageRef:
    return MessageRef(mailbox=f"{secrets.token_hex(8)}@dms.example", message_id="A1")


def claims_of(database: Database) -> Claims:
    return Claims(database, lease_seconds=600, retry_seconds=300)


def pid(database: Database) -> int:
    row = database.one("pid", "select pg_backend_pid() as pid")
    assert row is not None
    return int(row["pid"])


def test_a_pooled_session_on_a_demoted_server_fails_once(database: Database) -> None:
    claims = claims_of(database)
    before = pid(database)
    database.none("demote", DEMOTE)
    with pytest.raises(DatabaseUnavailable, match="25006"):
        claims.claim(new_ref())
    assert claims.claim(new_ref()) is not None
    assert pid(database) != before


def test_the_first_failure_empties_the_pool(database: Database) -> None:
    with database.connection("one") as one, database.connection("two") as two:
        one.execute(DEMOTE)
        two.execute(DEMOTE)
    failures = 0
    for _ in range(4):
        try:
            claims_of(database).claim(new_ref())
        except DatabaseUnavailable:
            failures += 1
    assert failures == 1


@pytest.mark.parametrize("sqlstate", ["25006", "0A000", "57P01", "57P02", "57P03"])
def test_each_sign_of_a_failover_closes_the_session(database: Database, sqlstate: str) -> None:
    before = pid(database)
    with pytest.raises(DatabaseUnavailable):
        database.none("raise", f"do $$ begin raise exception using errcode = '{sqlstate}'; end $$")
    assert pid(database) != before


def test_any_other_error_keeps_the_session(database: Database) -> None:
    before = pid(database)
    with pytest.raises(DatabaseUnavailable):
        database.none("raise", "select * from no_such_table")
    assert pid(database) == before


def test_the_gate_takes_no_place_of_a_demoted_server(postgres: Postgres) -> None:
    mailbox = f"{secrets.token_hex(8)}@dms.example"
    gates: list[int] = []

    def note(name: str, phase: trace.Phase) -> None:
        if (name, phase) == ("sql.gate_take", "after"):
            gates.append(1)

    with closing(MailboxGate(postgres.app_url)) as gate:
        with gate(mailbox):
            pass
        connection = gate._mailboxes[mailbox]._connection
        assert connection is not None
        connection.execute(DEMOTE)
        stop = trace.subscribe(note)
        try:
            with gate(mailbox):
                assert connection.closed
                assert gate._mailboxes[mailbox]._connection is not connection
        finally:
            stop()
    assert len(gates) == 2  # the old session is asked once


def test_a_server_that_turns_read_only_and_back(tmp_path: Path) -> None:
    """As a managed server does in a failover: first every session, then no new one, then all is well."""
    with Postgres(tmp_path / "data") as server:
        server.migrate()
        with closing(Database(server.app_url)) as database, superuser(tmp_path, server) as admin:
            claims = claims_of(database)
            assert claims.claim(new_ref()) is not None
            switch(admin, server, "on")
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable):
                    claims.claim(new_ref())
            switch(admin, server, "off")
            assert claims.claim(new_ref()) is not None


def superuser(folder: Path, server: Postgres) -> psycopg.Connection:
    known = conninfo_to_dict(server.owner_url)
    password = (folder / "postgres.password").read_text()
    url = make_conninfo("", host=known["host"], port=known["port"], user="postgres", password=password)
    return psycopg.connect(url, autocommit=True, dbname="postgres")


def switch(admin: psycopg.Connection, server: Postgres, state: str) -> None:
    admin.execute(f"alter system set default_transaction_read_only = {state}".encode())
    admin.execute("select pg_reload_conf()")
    for _ in range(1000):
        with psycopg.connect(server.owner_url) as owner:  # a new session has read the file
            row = owner.execute("show default_transaction_read_only").fetchone()
        if row == (state,):
            return
    raise AssertionError(f"the server never turned {state}")
