"""Brings a database to this version's schema: the SQL files of `migrations/`, run by Alembic.

Safe beside a live DMS: no statement waits longer than LOCK_TIMEOUT for a lock, as everybody who comes later would
wait behind it. What does not get its lock in that time is tried again, and every migration can be.

https://alembic.sqlalchemy.org/
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.rows import TupleRow, tuple_row

from ingest.errors import IngestError
from ingest.storage import database as postgres
from operations.audit import Account
from operations.origin import SETTING, origin
from operations.schema import preflight

FOLDER = Path(__file__).parents[2] / "migrations"
SCHEMA = "ingest"
VERSION_TABLE = "schema_version"
MAIL_ACCOUNTS = "dms_emailconfig"
# The rows that go with a migration that is taken back. Row-level security hides the messages; their claims count them.
_HOLDS = {
    "0004_ingest": {
        "claims": "select count(*) from ingest.claim",
        "tenants' mails with parts and documents": "select coalesce(sum(copies), 0) from ingest.claim",
    },
    "0005_token_history": {
        "tokens": "select count(*) from ingest.token",
        "disabled tenants": "select count(*) from ingest.disabled_tenant",
    },
    "0012_operators": {"recorded operator actions": "select count(*) from ingest.audit"},
}
LOCK_TIMEOUT = "2s"
PATIENCE_SECONDS = 300.0  # for locks, over all attempts
_LOCK = 6_108_312_907_014  # the advisory lock of the process that migrates; any number that no other program uses
_NEXT_STATEMENT = "-- next statement\n"  # in files that run outside of a transaction

type Report = Callable[[str], None]


class MigrationError(IngestError):
    """The database can't be migrated; the text says why and what to do."""


def migrate(database_url: str, *, to: str = "head", report: Report = lambda _: None) -> list[str]:
    """Apply what is not applied yet, up to and including the migration `to`. Safe to repeat and in parallel.

    `database_url`: libpq URL of the owner. `report` gets what the database has to say on the way, line by line.
    Returns the names of what was applied. Raises MigrationError; what was applied before stays applied.
    """
    with _session(database_url, report) as connection:
        before = _applied(connection)
        if to != "head":
            _must_exist(to)
        if to in before:
            return []
        if problems := preflight.problems(_driver(connection), applied=before):
            raise MigrationError(
                "The database can't be migrated:" + "".join(f"\n  - {problem}" for problem in problems)
            )
        _run_patiently(connection, lambda config: command.upgrade(config, to), report)
        return [name for name in _applied(connection) if name not in before]


def drop_mail_accounts(database_url: str, *, report: Report = lambda _: None) -> bool:
    """Drop the DMS's table of mail accounts, once the DMS has switched. Return True where there was one.

    Not one of the migrations: a DMS that has not switched yet gets all of those. Raises MigrationError, which names
    what still refers to the table.
    """
    statement = (FOLDER / "drop_mail_accounts.sql").read_text(encoding="utf-8")

    def drop(_config: Config) -> None:
        connection.begin()  # _run_patiently commits
        _driver(connection).execute(statement.encode())

    with _session(database_url, report) as connection:
        there = connection.scalar(sqlalchemy.text("select to_regclass(:name)"), {"name": MAIL_ACCOUNTS}) is not None
        connection.rollback()
        if there:
            _run_patiently(connection, drop, report)
        return there


def roll_back(database_url: str, account: Account, *, to: str | None, report: Report = lambda _: None) -> list[str]:
    """Take back the migrations after `to`, last first; None: all of them.

    The record of operator actions gets an entry first. Returns the names of those taken back. Raises MigrationError.
    """
    with _session(database_url, report) as connection:
        before = _applied(connection)
        if to is not None and to not in before:
            _must_exist(to)
            raise MigrationError(f"{to} is not applied to this database.")
        _record(connection, to, account)
        _run_patiently(connection, lambda config: command.downgrade(config, to or "base"), report)
        after = _applied(connection)
        if not after:
            connection.execute(sqlalchemy.text(f"drop table if exists {SCHEMA}.{VERSION_TABLE}"))
            connection.execute(sqlalchemy.text(f"drop schema if exists {SCHEMA}"))
            connection.commit()
        return [name for name in reversed(before) if name not in after]


def losses(database_url: str, *, to: str | None) -> list[str]:
    """Name the migrations that `roll_back` would take back, last first, each with the rows that go with it."""
    with _session(database_url, lambda _: None) as connection:
        before = _applied(connection)
        goes = before if to is None else before[before.index(to) + 1 :] if to in before else []
        return [f"{name}{_rows(connection, name)}" for name in reversed(goes)]


def _rows(connection: sqlalchemy.Connection, name: str) -> str:
    counts = [f"{connection.scalar(sqlalchemy.text(query))} {thing}" for thing, query in _HOLDS.get(name, {}).items()]
    connection.rollback()
    return f": {', '.join(counts)}" if counts else ""


def _record(connection: sqlalchemy.Connection, to: str | None, account: Account) -> None:
    if connection.scalar(sqlalchemy.text("select to_regclass('ingest.audit') is not null")):
        action = "select ingest.record_action('schema.back', cast(:subject as text), '{}', :why, :remark)"
        connection.execute(sqlalchemy.text(action), {"subject": f"to {to or 'nothing'}", **account.parameters})
    connection.commit()


@cache
def names() -> tuple[str, ...]:
    """Return all migrations of this version, first to last."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def sql_files(stub: str, *, transactional: bool = True) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the up and down of a migration: they run the SQL files beside its Python file, each as a whole.

    Not `transactional`: statement by statement, without a transaction around them, for what commits by itself or
    can't run in one (`create index concurrently`). Such statements must be repeatable.
    """

    def run(direction: str) -> None:
        text = Path(stub).with_suffix(f".{direction}.sql").read_text(encoding="utf-8")
        if transactional:
            _execute(text)
            return
        with op.get_context().autocommit_block():
            for statement in text.split(_NEXT_STATEMENT):
                _execute(statement)

    return lambda: run("up"), lambda: run("down")


def _execute(text: str) -> None:
    """Past SQLAlchemy's parameters, so that `%` and `:` are what they are in Postgres."""
    _driver(op.get_bind()).execute(text.encode())


def _driver(connection: sqlalchemy.Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("migrations run on psycopg")
    return driver


@contextmanager
def _session(database_url: str, report: Report) -> Iterator[sqlalchemy.Connection]:
    """Open a connection that holds the migrations' lock."""

    def connect() -> psycopg.Connection[TupleRow]:
        connection = postgres.connect(
            database_url,
            "mail-ingest migrate",
            row_factory=tuple_row,
            options={"lock_timeout": LOCK_TIMEOUT, SETTING: origin()},
        )
        connection.add_notice_handler(lambda notice: _report_notice(notice, report))
        return connection

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            _lock(connection, report)
            yield connection
    except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
        raise MigrationError(_explained(error)) from None
    finally:
        engine.dispose()


def _lock(connection: sqlalchemy.Connection, report: Report) -> None:
    """Wait until no other process migrates this database.

    By trying again and again: a session that waits inside Postgres holds a snapshot, and building an index concurrently
    waits for all older snapshots to go. The two would wait for each other.
    """
    reported = False
    while not connection.scalar(sqlalchemy.text("select pg_try_advisory_lock(:key)"), {"key": _LOCK}):
        connection.commit()
        if not reported:
            report("another process is migrating this database: waiting for it")
            reported = True
        time.sleep(0.2)
    connection.commit()


def _run_patiently(connection: sqlalchemy.Connection, step: Callable[[Config], None], report: Report) -> None:
    """Run `step`, again where others held a lock for too long."""
    config = _config()
    config.attributes["connection"] = connection
    deadline = time.monotonic() + PATIENCE_SECONDS
    connection.execute(sqlalchemy.text(f"create schema if not exists {SCHEMA}"))
    connection.commit()
    while True:
        try:
            step(config)
        except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
            connection.rollback()
            if not isinstance(_cause(error), (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)):
                raise
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"Other sessions held a lock for more than {PATIENCE_SECONDS:.0f} s: look for the oldest "
                    "xact_start in pg_stat_activity. What was applied so far stays; run migrate again."
                ) from None
            report("waiting for a lock that another session holds")
            # Out of step with jobs that come back regularly, and leaving the queue to sessions that waited behind us.
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - no secret
        else:
            connection.commit()
            return


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config


def _applied(connection: sqlalchemy.Connection) -> list[str]:
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
    )
    current = context.get_current_revision()
    connection.rollback()
    known = names()
    if current is None:
        return []
    if current not in known:
        raise MigrationError(
            f"The database is at {current}, which this version does not know: it was migrated by a newer one."
        )
    return list(known[: known.index(current) + 1])


def _must_exist(name: str) -> None:
    if name not in names():
        raise MigrationError(f"There is no migration {name}. There are: {', '.join(names())}.")


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig else error


def _explained(error: Exception) -> str:
    """Return Postgres's message in a line or two; it holds names of tables and roles, and no data."""
    cause = _cause(error)
    if not isinstance(cause, psycopg.Error):
        return f"The database can't be migrated: {type(cause).__name__}"
    if cause.sqlstate is None:
        return f"The database can't be reached: {type(cause).__name__}. Is the URL right, and the server up?"
    parts = [cause.diag.message_primary or type(cause).__name__]
    if isinstance(cause, psycopg.errors.DependentObjectsStillExist) and cause.diag.message_detail:
        parts.append(cause.diag.message_detail.replace("\n", "; "))
    if cause.diag.message_hint and "CASCADE" not in cause.diag.message_hint:
        parts.append(cause.diag.message_hint)
    return ". ".join(part.rstrip(".") for part in parts) + "."


def _report_notice(notice: psycopg.errors.Diagnostic, report: Report) -> None:
    # Our files speak at the level info; notices ("… does not exist, skipping") are Postgres talking to itself.
    if notice.message_primary and notice.severity_nonlocalized in {"INFO", "WARNING"}:
        report(notice.message_primary)
