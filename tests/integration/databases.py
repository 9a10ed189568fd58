"""Databases for tests: one each, on one server, with the roles that an installation has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow, dict_row

from local.postgres import Postgres

PASSWORD = "only-in-this-test"  # noqa: S105 - of roles that live as long as the test run
# A server that is killed loses nothing without fsync, only a machine that loses its power. With fsync, the databases of
# the tests cost more processor time than the tests. A login takes half of its time with one iteration of its hash. The
# owner may not end a worker of autovacuum, which is the administrator's: a database could not be dropped beside one.
IN_TESTS = {"fsync": "off", "scram_iterations": "1", "autovacuum": "off"}
OWNER, APP, READER, OPERATOR = "test_owner", "test_app", "test_reader", "test_operator"


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database and its libpq URLs: as its owner, as the app, as the DMS's reader."""

    name: str
    admin_url: str

    def url(self, role: str) -> str:
        host = urlsplit(self.admin_url)
        return f"postgresql://{role}:{PASSWORD}@{host.hostname}:{host.port}/{self.name}"

    @property
    def owner_url(self) -> str:
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        return self.url(APP)

    @property
    def reader_url(self) -> str:
        return self.url(READER)

    @property
    def operator_url(self) -> str:
        return self.url(OPERATOR)

    @contextmanager
    def owner(self) -> Iterator[psycopg.Connection[TupleRow]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            yield connection

    @contextmanager
    def app(self) -> Iterator[psycopg.Connection[TupleRow]]:
        with psycopg.connect(self.app_url, autocommit=True) as connection:
            yield connection

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """Return the rows that the owner sees."""
        with psycopg.connect(self.owner_url, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def value(self, query: str, **parameters: object) -> Any:  # noqa: ANN401 - the query decides the type
        (row,) = self.rows(query, **parameters)
        (value,) = row.values()
        return value

    def run(self, *statements: str) -> None:
        """As the owner."""
        with self.owner() as connection:
            for statement in statements:
                connection.execute(statement.encode())


class Server:
    """Makes databases, and lets them go."""

    def __init__(self, postgres: Postgres) -> None:
        self._admin_url = postgres.owner_url
        self._numbers = count(1)
        with psycopg.connect(self._admin_url, autocommit=True) as admin:
            # The owner is no administrator: row-level security binds it, and it makes no roles.
            for group in ("ingest_app", "ingest_operator", "ingest_reader"):
                admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(group)))
            for login in (OWNER, APP, READER, OPERATOR):
                self.create_login(admin, login)
            for login, group in ((APP, "ingest_app"), (READER, "ingest_reader"), (OPERATOR, "ingest_operator")):
                admin.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(login)))

    def create_login(self, admin: psycopg.Connection[TupleRow], role: str) -> None:
        name = sql.Identifier(role)
        admin.execute(sql.SQL("create role {} login password {}").format(name, sql.Literal(PASSWORD)))
        admin.execute(sql.SQL("grant {} to current_user").format(name))  # so that it may be given a database

    @contextmanager
    def database(self, *, owner: str = OWNER, template: str = "template1") -> Iterator[Database]:
        database = Database(name=f"test_{next(self._numbers)}", admin_url=self._admin_url)
        # Copied as files, a database costs half of what it costs by the log, page by page.
        self.execute("create database {} owner {} template {} strategy file_copy", database.name, owner, template)
        try:
            yield database
        finally:
            self.execute("drop database {} with (force)", database.name)

    @contextmanager
    def membership(self, group: str, login: str) -> Iterator[None]:
        """Roles are the server's: who is made a member in one test is none in the next."""
        self.execute("grant {} to {}", group, login)
        try:
            yield
        finally:
            self.execute("revoke {} from {}", group, login)

    @contextmanager
    def admin(self, database: Database | None = None) -> Iterator[psycopg.Connection[TupleRow]]:
        """Return the roles that see past row-level security."""
        url = self._admin_url if database is None else make_conninfo(self._admin_url, dbname=database.name)
        with psycopg.connect(url, autocommit=True) as admin:
            yield admin

    def execute(self, statement: LiteralString, *names: str) -> None:
        with self.admin() as admin:
            admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
