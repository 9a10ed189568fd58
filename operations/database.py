"""A short-lived connection for one operator's command; its errors become one clear line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg.rows import class_row, dict_row

from ingest.errors import OperatorError
from ingest.storage import database as postgres
from ingest.storage.database import Connection
from ingest.storage.entra import SignInFailed
from operations.origin import SETTING, origin

_STATEMENT_MS = 60_000


@contextmanager
def connect(database_url: str) -> Iterator[Connection]:
    """Open a connection; its transaction commits with the block. Raises OperatorError for every error of Postgres."""
    try:
        with postgres.connect(
            database_url,
            "mail-ingest operator",
            row_factory=dict_row,
            options={"statement_timeout": str(_STATEMENT_MS), SETTING: origin()},
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise OperatorError(_explained(error)) from None


def rows_as[Row](
    connection: Connection, kind: type[Row], statement: LiteralString, parameters: Mapping[str, object]
) -> list[Row]:
    """Return the rows of a statement as values of `kind`, a class with a field for each column."""
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement, parameters).fetchall()


# To the end of the session. Postgres ends a session a moment after its client: the next command, or the next step of
# the same one, must not take that for a command at work.
_PATIENCE: LiteralString = "set local lock_timeout = '2s'"
_ALONE: LiteralString = "select pg_advisory_lock(hashtextextended('blobs of mails', 0))"


@contextmanager
def connect_alone(database_url: str) -> Iterator[Connection]:
    """Open a connection, for the one command at a time that deletes blobs of recorded mails or stores such blobs.

    A command beside retention would store blobs again, and retention would delete their rows: these blobs would stay
    for ever. A second retention would delete blobs that the app has just stored again. Raises OperatorError.
    """
    with connect(database_url) as connection:
        try:
            with connection.transaction():
                connection.execute(_PATIENCE)
                connection.execute(_ALONE)
        except psycopg.errors.LockNotAvailable:
            raise OperatorError(
                "Another command that deletes or stores blobs of mails is running: wait for its end."
            ) from None
        yield connection


def _explained(error: psycopg.Error) -> str:
    said = (error.diag.message_primary or type(error).__name__).rstrip(".")
    match error:
        case SignInFailed():
            return f"{error}: sign in with `az login`, or set AZURE_CLIENT_ID to the managed identity."
        case psycopg.errors.InsufficientPrivilege():
            return (
                f"The role in the database URL is too weak for this ({said}): "
                "set INGEST_OWNER_DATABASE_URL to the URL of the database's owner."
            )
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() | psycopg.errors.UndefinedFunction():
            return f"The database is not migrated ({said}): run python -m ingest migrate."
        case psycopg.OperationalError() if error.sqlstate is None:
            return "The database can't be reached: is the URL right, and the server up?"
        case _:
            return f"The database refused: {said}."
