"""Postgres: how a connection is made, the app's pool of them, and the translation of driver errors.

Every connection of the app, of the operator's commands and of the migrations is made here. A server that vanished
without a FIN is given up within half a minute.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
https://www.psycopg.org/psycopg3/docs/advanced/pool.html
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import RowFactory, dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from ingest.errors import DatabaseUnavailable
from ingest.storage import entra
from ingest.trace import span

type Row = dict[str, Any]
type Connection = psycopg.Connection[Row]

POOL_SIZE = 10
POOL_SECONDS = 5.0  # for a pooled connection, and for the pool's attempts to make one
_CONNECT_SECONDS = 5
_KEEPALIVES_IDLE = 10  # seconds without traffic, then a probe
_KEEPALIVES_INTERVAL = 5  # seconds between two probes
_KEEPALIVES_COUNT = 3  # unanswered probes end the connection
# libpq's and the server's words for a connection that is not made; libpq has no codes for these.
_FAULTS = {
    "password authentication failed": "user or password is wrong",
    "no pg_hba.conf entry": "the server lets no such user in from this address, or not without TLS",
    "Name or service not known": "there is no such host",
    "failed to resolve host": "there is no such host",
    "could not translate host name": "there is no such host",
    "Connection refused": "no server listens at this host and port",
    "No route to host": "the host is not reached",
    "timeout": "no answer within 5 seconds: host, port or a firewall",
    "certificate": "the server's certificate is not accepted (sslrootcert)",
    "SSL": "TLS is not agreed on (sslmode)",
    "does not exist": "there is no such database or user",
    "read-only": "the server is a replica, or takes no writes",
    "starting up": "the server is starting",
    "too many": "the server has no connection left",
}
_SILENT_MS = 20_000  # data that is not acknowledged in this time is lost
STATEMENT_SECONDS = 20  # of the app: for a statement, and for an idle transaction
_LIMIT_EXCEEDED = ("54",)  # the class of Postgres's program limits; psycopg counts them as operational errors
# A server that was demoted or is being stopped: read_only_sql_transaction, feature_not_supported (in recovery),
# admin_shutdown, crash_shutdown, cannot_connect_now.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_FAILED_OVER = frozenset({"25006", "0A000", "57P01", "57P02", "57P03"})
_IDLE_SECONDS = 30.0  # after so long a pooled connection is tried before it is used
# poll() needs no file descriptor of its own; select() is for platforms without poll().
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def connect[AnyRow](
    database_url: str,
    application_name: str,
    *,
    row_factory: RowFactory[AnyRow],
    options: Mapping[str, str],
    autocommit: bool = False,
) -> psycopg.Connection[AnyRow]:
    """Return a new connection to the primary server. Raises psycopg.Error.

    `application_name` shows in pg_stat_activity. `options`: settings of the session, after those in the URL.
    """
    return psycopg.connect(
        database_url,
        row_factory=row_factory,
        autocommit=autocommit,
        **_parameters(database_url, application_name, options),
    )


def probe(database_url: str) -> None:
    """Connect once. Raises DatabaseUnavailable; its text names the fault, and no part of the URL."""
    try:
        connect(database_url, "mail-ingest probe", row_factory=tuple_row, options={}).close()
    except psycopg.Error as error:
        said = str(error)
        fault = next((fault for words, fault in _FAULTS.items() if words in said), type(error).__name__)
        raise DatabaseUnavailable(f"Postgres: {fault}") from None


def server_keepalives() -> dict[str, str]:
    """Return the session settings that let the server find out within half a minute that its client vanished."""
    return {
        "tcp_keepalives_idle": str(_KEEPALIVES_IDLE),
        "tcp_keepalives_interval": str(_KEEPALIVES_INTERVAL),
        "tcp_keepalives_count": str(_KEEPALIVES_COUNT),
    }


class Database:
    """The app's connections: a pool that is opened on first use. Rows are dicts by column name.

    Driver errors leave this class translated: DatabaseUnavailable for everything that is not the fault of one mail.
    """

    def __init__(self, database_url: str) -> None:
        longest = f"{STATEMENT_SECONDS}s"
        limits = {"statement_timeout": longest, "idle_in_transaction_session_timeout": longest}
        self._last_used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            database_url,
            min_size=0,
            max_size=POOL_SIZE,
            timeout=POOL_SECONDS,
            open=False,
            check=self._check_if_suspect,
            reconnect_timeout=POOL_SECONDS,
            # Asked for each new connection: a token of Entra ends after an hour.
            kwargs=lambda: {
                # A single statement is a transaction of its own: no round trips for BEGIN and COMMIT.
                "autocommit": True,
                "row_factory": dict_row,
                **_parameters(database_url, "mail-ingest", limits),
            },
        )

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    def one(self, name: str, statement: LiteralString, **parameters: object) -> Row | None:
        """Return the first row, or None. `name` is the statement's name in traces and errors."""
        with self.connection(name) as connection:
            return connection.execute(statement, parameters).fetchone()

    def all(self, name: str, statement: LiteralString, **parameters: object) -> list[Row]:
        """Return every row."""
        with self.connection(name) as connection:
            return connection.execute(statement, parameters).fetchall()

    def none(self, name: str, statement: LiteralString, **parameters: object) -> None:
        """Run a statement that returns no rows."""
        with self.connection(name) as connection:
            connection.execute(statement, parameters)

    @contextmanager
    def connection(self, name: str) -> Iterator[Connection]:
        """Lend a pooled connection, in autocommit mode. Raises DatabaseUnavailable, psycopg.Error."""
        try:
            self._pool.open()
            with span(f"sql.{name}"), self._pool.connection() as connection:
                try:
                    yield connection
                except psycopg.Error as error:
                    if error.sqlstate in _FAILED_OVER:
                        # Every other pooled session is as old as this one, and passes a check that only reads.
                        connection.close()
                        self._pool.drain()
                    raise
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise DatabaseUnavailable(f"sql {name}: {type(error).__name__}") from None
        except (psycopg.DataError, psycopg.IntegrityError):
            raise  # the fault of this mail, or a defect
        except psycopg.OperationalError as error:
            if (error.sqlstate or "").startswith(_LIMIT_EXCEEDED):
                raise  # a value of this mail is too large for Postgres; retrying is pointless
            raise _unavailable(name, error) from None
        except psycopg.Error as error:
            # Lost connections, but also missing rights or tables: a deployment that is not complete yet.
            raise _unavailable(name, error) from None

    def _check_if_suspect(self, connection: Connection) -> None:
        """Ask Postgres whether a pooled connection still works, but only where that is in doubt.

        An idle connection has nothing to read unless the server has closed it or is about to. Middleboxes forget
        connections that were idle for minutes.
        """
        now = time.monotonic()
        idle_since, self._last_used[connection] = self._last_used.get(connection, now), now
        with _Selector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            readable = selector.select(timeout=0)
        if readable or now - idle_since > _IDLE_SECONDS:
            ConnectionPool.check_connection(connection)


def as_text(value: str | None) -> str | None:
    """Return a stranger's text as Postgres can hold it: NUL and lone surrogates are replaced."""
    if value is None:
        return None
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _parameters(database_url: str, application_name: str, options: Mapping[str, str]) -> dict[str, Any]:
    in_url = str(conninfo_to_dict(database_url).get("options") or "")
    ours = (f"-c {name}={value}" for name, value in options.items())
    return {
        "application_name": application_name,
        "options": " ".join([in_url, *ours]).strip(),
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": _KEEPALIVES_IDLE,
        "keepalives_interval": _KEEPALIVES_INTERVAL,
        "keepalives_count": _KEEPALIVES_COUNT,
        "tcp_user_timeout": _SILENT_MS,
        # After a failover never the replica: it grants advisory locks but takes no rows.
        "target_session_attrs": "read-write",
        **entra.password(database_url),
    }


def _unavailable(name: str, error: psycopg.Error) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"sql {name}: {type(error).__name__} {error.sqlstate or ''}".rstrip())
