"""A connection for an operator's command: short-lived, and its errors told in one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ingest.errors import OperatorError
from ingest.storage import database as postgres

type Connection = psycopg.Connection[dict[str, Any]]

_STATEMENT_MS = 60_000


@contextmanager
def connect(database_url: str) -> Iterator[Connection]:
    """A connection whose transaction commits with the block. Raises OperatorError for whatever Postgres refuses."""
    try:
        with psycopg.connect(
            database_url,
            row_factory=dict_row,
            **postgres.parameters("mail-ingest operator", options=f"-c statement_timeout={_STATEMENT_MS}"),
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise OperatorError(_explained(error)) from None


def _explained(error: psycopg.Error) -> str:
    said = (error.diag.message_primary or type(error).__name__).rstrip(".")
    match error:
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
