"""The whole system on one machine: Postgres, Azurite, a Graph simulator and functions hosts around the app.

    with Stack(Path(".local")) as stack:
        tenant = stack.add_tenant("Tischlerei Südhang")
        ...  # send to tenant.address over stack.simulator.smtp_port

Everything listens on the loopback only, is a child of this process, and is gone when the block ends.
"""

import json
import os
import secrets
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient
from filelock import FileLock, Timeout

from local import azurite
from local.environment import NAME as ENVIRONMENT
from local.environment import write_environment
from local.functions_host.process import FunctionsHost, HostKind, find_core_tools
from local.graph.admin.client import Admin, MessageState
from local.graph.process import GraphEndpoint, Identity, Simulator
from local.postgres import Postgres
from local.processes import free_port, make_private
from local.tenants import DOMAIN, LocalTenant, upload_address

CONTAINER = "documents"
_LOCK = "stack.lock"  # in the directory of a stack, held while it runs
DEFAULT_MAILBOX = f"upload@{DOMAIN}"
# Settings for a caller that fires the timers itself: by their schedule, one would go off in the middle of its work.
TIMERS_OFF = {f"AzureWebJobs__{name}__Disabled": "true" for name in ("maintain", "examine", "scan", "answer")}
_PATIENCE = 180.0  # seconds, for a machine that does much else
_INBOX = "Inbox"  # its display name at the simulator
_HAS_ENDED = """
select from ingest.claim
where message_id = %s and state in ('deleted', 'quarantined', 'gone') and lease_until is null
"""
_IN_WORK = "select from ingest.claim where lease_until is not null limit 1"
type Step = Callable[[str], AbstractContextManager[object]]


class StackError(RuntimeError):
    """The stack can't be started; the message says why."""


class Stack:
    """The parts, started in order and stopped in the opposite one.

    Each can also be stopped, killed and started by itself (`stack.postgres`, `stack.azurite.blob`,
    `stack.hosts[0]` and so on) and keeps its address; the simulator is taken down and brought back by
    `stack.admin.set_outage`.
    """

    def __init__(
        self,
        data: Path,
        *,
        hosts: int = 1,
        settings: Mapping[str, str] | None = None,
        mailboxes: Sequence[str] = (DEFAULT_MAILBOX,),
        graph: GraphEndpoint | None = None,
        kind: HostKind = "stand-in",
        host_arguments: Sequence[str] = (),
        simulator_arguments: Sequence[str] = (),
        prepare: Callable[[Postgres], None] = Postgres.migrate,
        step: Step = lambda _: nullcontext(),
    ) -> None:
        """Lay the stack out; nothing is started yet.

        `data`: the directory for databases, blobs and logs; what it holds from an earlier run is used on.
        `hosts`: 0 where the caller adds them. `settings` go to the app on top of the stack's own. `graph`: another
        Graph endpoint in the place of the simulator; who the app is there is then read from the environment
        (AZURE_INGEST_…). `host_arguments`, `simulator_arguments`: more options for these programs. `prepare` brings the
        database to its schema (a rehearsal begins without this app's). `step`: a
        context manager that is entered with the name of what is being started, and left when that runs.
        """
        self.data = data.absolute()
        self.identity = _identity(os.environ if graph else {}, mailboxes)
        self.postgres = Postgres(self.data / "postgres")
        self.azurite = azurite.Azurite(data=self.data / "azurite", log=self.data / "azurite.log")
        self.simulator = None if graph else Simulator(self.data / "graph", self.identity, arguments=simulator_arguments)
        self.hosts: list[FunctionsHost] = []
        self.tenants: list[LocalTenant] = []
        self._graph = graph
        self._settings = dict(settings or {})
        self._kind = kind
        self._host_count = hosts
        self._host_arguments = host_arguments
        self._prepare = prepare
        self._step = step
        self._client_state = secrets.token_urlsafe(32)
        self._running = ExitStack()

    @property
    def admin(self) -> Admin:
        """The simulator's admin API."""
        if self.simulator is None:
            raise StackError("There is no simulator to ask: the stack uses another Graph.")
        return self.simulator.admin

    @property
    def graph(self) -> GraphEndpoint:
        """The endpoint at which the app finds Graph."""
        if self.simulator is not None:
            return self.simulator.endpoint
        assert self._graph is not None  # noqa: S101 - there is always one of the two
        return self._graph

    @property
    def url(self) -> str:
        """Base URL of the app: of the first host, to which Graph also sends its notifications."""
        return self.hosts[0].url

    def start(self) -> None:
        """Start everything, in order.

        Raises StackError and what its parts raise (ChildFailedError, CoreToolsMissingError, PostgresError,
        MigrationError); the parts that had been started by then are stopped.
        """
        if self._kind == "func":
            find_core_tools()  # rather missed now than after everything else was started
        make_private(self.data)
        self.data.chmod(0o700)  # databases, mails and logs are of no concern to other users of the machine
        with ExitStack() as started:
            started.enter_context(_held(self.data))
            self._start_parts(started)
            self._write_description()
            self._running = started.pop_all()

    def stop(self) -> None:
        """Stop everything that runs, hosts first."""
        self._running.close()

    def add_host(self, *, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()) -> FunctionsHost:
        """Lay out one more host on the same queues, for the caller to start; it stops with the others."""
        port = free_port()
        host = FunctionsHost(
            port,
            environment=self._environment(notified_port=self.hosts[0].port if self.hosts else port)
            | dict(settings or {}),
            kind=self._kind,
            arguments=[*self._host_arguments, *arguments],
            log=self.data / f"host-{len(self.hosts) + 1}.log",
        )
        self.hosts.append(host)
        return host

    def maintain(self) -> None:
        """Fire the timer `maintain` now, which renews subscriptions and sweeps. Does not wait for it."""
        answer = requests.post(f"{self.url}/admin/functions/maintain", json={"input": ""}, timeout=60)
        if answer.status_code != requests.codes.accepted:
            raise StackError(f"Firing maintain was answered with {answer.status_code}: {answer.text}")

    def add_tenant(self, name: str) -> LocalTenant:
        """Make a tenant, as the DMS would; or take the one of that name that an earlier run has made."""
        with psycopg.connect(self.postgres.owner_url) as connection:
            find = "SELECT id::text, ingest_token FROM dms_tenant WHERE name = %s"
            row = connection.execute(find, [name]).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO dms_tenant (name, is_active, ingest_token) VALUES (%s, true, %s)",
                    [name, secrets.token_hex(16)],
                )
                row = connection.execute(find, [name]).fetchone()
        if row is None:
            raise StackError(f"dms_tenant has no row for {name}")
        tenant = LocalTenant(id=row[0], name=name, token=row[1], address=upload_address(row[1]))
        if tenant not in self.tenants:
            self.tenants.append(tenant)
        self._write_description()
        return tenant

    def wait_for_end(self, message: str, *folders: str) -> MessageState:
        """Wait until a message is in one of the folders, or `deleted`, and its claim has ended; return its state.

        `message` is the immutable id. Without a folder, each but the inbox will do. The app ends a claim after its last
        request to Graph: a message that has left the inbox may still be in work. Raises TimeoutError.
        """
        with psycopg.connect(self.postgres.owner_url, autocommit=True) as database:

            def at_its_end() -> MessageState | None:
                state = next(one for one in self.admin.messages() if one.id == message)
                there = state.folder in folders if folders else state.folder != _INBOX
                return state if there and database.execute(_HAS_ENDED, [message]).fetchone() is not None else None

            return self.admin.wait_for(
                at_its_end, timeout=_PATIENCE, what=f"the end of a mail in {' or '.join(folders) or 'any folder'}"
            )

    def wait_for_empty_inbox(self) -> None:
        """Wait until no message is in an inbox, and the app works on none. Raises TimeoutError."""
        with psycopg.connect(self.postgres.owner_url, autocommit=True) as database:

            def is_empty() -> bool:
                left = any(one.folder == _INBOX for one in self.admin.messages())
                return not left and database.execute(_IN_WORK).fetchone() is None

            self.admin.wait_for(is_empty, timeout=_PATIENCE, what="an empty inbox, and the end of all claims")

    def ended(self) -> str | None:
        """Name a part that was started and has ended by itself; None where all is well."""
        parts: list[Postgres | Simulator | FunctionsHost] = [self.postgres, *self.hosts]
        if self.simulator is not None:
            parts.append(self.simulator)
        return next((part.name for part in parts if part.ended), None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _make_container(self) -> None:
        """Make the container of the documents, as a deployment does."""
        with (
            ContainerClient.from_connection_string(self.azurite.connection_string, CONTAINER) as container,
            suppress(ResourceExistsError),
        ):
            container.create_container()

    def _start_parts(self, started: ExitStack) -> None:
        with self._step("Azurite's packages"):
            azurite.install()
        started.callback(self.azurite.stop)
        services = (self.azurite.blob, self.azurite.queue)
        for service in services:
            service.launch()  # takes its time; it is waited for below
        with self._step("Postgres"):
            started.callback(self.postgres.stop)
            self.postgres.start()
        with self._step("Database schema"):
            self._prepare(self.postgres)
        with self._step("Azurite"):
            for service in services:
                service.wait_until_ready()
            self._make_container()
        if self.simulator is not None:
            with self._step("Graph simulator"):
                started.callback(self.simulator.stop)
                self.simulator.start()
        started.callback(self.stop_hosts)
        for _ in range(self._host_count):
            with self._step("Functions host"):
                self.add_host().start()
        if self.hosts:
            with self._step("Subscription"):
                self.subscribe()

    def stop_hosts(self) -> None:
        """Stop the hosts and forget them: a host that is added later serves by itself."""
        for host in reversed(self.hosts):
            host.stop()
        self.hosts.clear()

    def subscribe(self) -> None:
        """Have the app subscribe now, as the timer's first turn may be minutes away."""
        self.maintain()
        if self.simulator is not None:
            admin, wanted = self.simulator.admin, len(self.identity.mailboxes)
            admin.wait_for(lambda: len(admin.subscriptions()) >= wanted, what="the app's subscriptions")

    def operator_environment(self) -> dict[str, str]:
        """Give the environment of an operator's command on this stack."""
        environment = self._environment(notified_port=self.hosts[0].port if self.hosts else 0)
        return environment | {"INGEST_OWNER_DATABASE_URL": self.postgres.owner_url}

    def _environment(self, *, notified_port: int) -> dict[str, str]:
        """Return the environment of the app: ours, over it the stack's, over that the caller's."""
        environment = os.environ | self._variables(notified_port=notified_port)
        for name in ("INGEST_OPERATOR_DATABASE_URL", "INGEST_OWNER_DATABASE_URL"):
            environment.pop(name, None)  # for the command line, and perhaps of another database
        return environment | self._settings

    def _variables(self, *, notified_port: int) -> dict[str, str]:
        given = os.environ if self._graph else {}
        variables = {
            "AZURE_INGEST_CLIENT_ID": self.identity.client_id,
            "AZURE_INGEST_CLIENT_SECRET": self.identity.client_secret,
            "AZURE_INGEST_CLIENT_CERTIFICATE": given.get("AZURE_INGEST_CLIENT_CERTIFICATE", ""),
            "AZURE_INGEST_TENANT_ID": self.identity.tenant_id,
            "AZURE_INGEST_MAILBOX": ",".join(self.identity.mailboxes),
            "AZURE_AUTHORITY_HOST": self.graph.authority_host,
            "GRAPH_BASE_URL": self.graph.graph_base_url,
            "INGEST_NOTIFICATION_URL": given.get("INGEST_NOTIFICATION_URL", f"http://127.0.0.1:{notified_port}"),
            "INGEST_CLIENT_STATE": self._client_state,
            "INGEST_DATABASE_URL": self.postgres.app_url,
            "INGEST_STORAGE": self.azurite.connection_string,
            "INGEST_CONTAINER": CONTAINER,
            "AzureWebJobsStorage": self.azurite.connection_string,
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PYTHON_THREADPOOL_THREAD_COUNT": "56",  # as in local.settings.sample.json
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "localhost", "127.0.0.1"])),
        }
        if self.graph.ca_file is not None:
            # It may be set already, as behind a company's proxy; for this process the simulator's CA counts.
            variables["REQUESTS_CA_BUNDLE"] = str(self.graph.ca_file)
        return variables

    def _write_description(self) -> None:
        """Write addresses and passwords for our other programs, readable by the owner only."""
        description = {
            "functions_url": self.url if self.hosts else None,
            "graph_base_url": self.graph.graph_base_url,
            "authority_host": self.graph.authority_host,
            "ca_file": str(self.graph.ca_file) if self.graph.ca_file else None,
            "client_id": self.identity.client_id,
            "client_secret": self.identity.client_secret,
            "tenant_id": self.identity.tenant_id,
            "mailboxes": self.identity.mailboxes,
            "smtp_host": self.simulator.smtp_host if self.simulator else None,
            "smtp_port": self.simulator.smtp_port if self.simulator else None,
            "admin_url": self.simulator.admin.url if self.simulator else None,
            "database_url": self.postgres.app_url,
            "owner_database_url": self.postgres.owner_url,
            "storage_connection_string": self.azurite.connection_string,
            "container": CONTAINER,
            "tenants": [asdict(tenant) for tenant in self.tenants],
        }
        path = self.data / "stack.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", "utf-8")
        variables = self._variables(notified_port=self.hosts[0].port if self.hosts else free_port())
        others = {
            "INGEST_OWNER_DATABASE_URL": self.postgres.owner_url,
            "DMS_DATABASE_URL": self.postgres.dms_url,
            "LOCAL_DATA": str(self.data),
        }
        write_environment(self.data / ENVIRONMENT, variables | self._settings | others)


def empty(data: Path) -> None:
    """Remove all that an earlier stack left in the directory. Raises StackError where a stack runs on it."""
    if not data.exists():
        return
    with _held(data.absolute()):
        for path in data.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()


@contextmanager
def _held(data: Path) -> Iterator[None]:
    """Keep other stacks off the directory for the length of the block. Raises StackError where one runs on it."""
    try:
        with FileLock(data / _LOCK, timeout=0, mode=0o600):
            yield
    except Timeout:
        raise StackError(
            f"A stack already runs on {data}; its addresses are in {data / 'stack.json'}. "
            "Use that one, end it with Ctrl-C in its terminal, or start another with --data DIR."
        ) from None


def _identity(given: Mapping[str, str], mailboxes: Sequence[str]) -> Identity:
    """Return the identity of the app: that of the environment, else one that only our simulator knows."""
    named = tuple(name.strip() for name in given.get("AZURE_INGEST_MAILBOX", "").split(",") if name.strip())
    return Identity(
        client_id=given.get("AZURE_INGEST_CLIENT_ID") or str(uuid.uuid4()),
        client_secret=given.get("AZURE_INGEST_CLIENT_SECRET") or secrets.token_urlsafe(32),
        tenant_id=given.get("AZURE_INGEST_TENANT_ID") or str(uuid.uuid4()),
        mailboxes=named or tuple(mailboxes),
    )
