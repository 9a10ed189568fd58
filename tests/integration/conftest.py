"""The running system that the integration tests share. Its traffic with Graph is recorded for .ci/run."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from commands.app import run
from ingest.model.tenant import Tenant
from local import azurite as azurite_emulator
from local.azurite import Azurite
from local.postgres import Postgres
from local.stack import TIMERS_OFF, Stack
from operations.schema.migrations import migrate
from operations.tenants.senders import Senders
from tests.fakes.command_line import Done
from tests.integration.databases import IN_TESTS, Database, Server
from tests.integration.samples import deliver_samples
from tests.integration.stores import Store, add_tenant, store_of
from tests.measuring import not_measured

# One for each worker of pytest-xdist, which all start a stack of their own.
DATA = Path(__file__).parents[2] / ".local" / "test" / os.environ.get("PYTEST_XDIST_WORKER", "alone")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with _stack(DATA) as stack:
        yield stack


@contextmanager
def _stack(data: Path) -> Iterator[Stack]:
    shutil.rmtree(data, ignore_errors=True)
    traffic = ["--traffic", str(data / "traffic.jsonl")]
    with Stack(data, settings=TIMERS_OFF, simulator_arguments=traffic) as stack:
        yield stack


@pytest.fixture(scope="module")
def own_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A system for one file with tests that go through all that is stored. Its processes are not measured."""
    with ExitStack() as running:
        with not_measured():
            stack = running.enter_context(_stack(DATA.with_name(f"{DATA.name}-{request.path.stem}")))
        yield stack


@pytest.fixture(scope="session")
def stack_with_samples() -> Iterator[Stack]:
    """A system of its own, in which every sample of tests/mails is filed. Its processes are not measured."""
    with ExitStack() as running:
        with not_measured():
            stack = running.enter_context(_stack(DATA.with_name(f"{DATA.name}-samples")))
            deliver_samples(stack)
        yield stack


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Storage of its own for tests that need no more than that. A test must not stop it: other tests use it."""
    data = tmp_path_factory.mktemp("azurite")
    with azurite_emulator.running(data=data, log=data / "log") as emulator:
        yield emulator


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of its own, without the rest of the stack."""
    with Postgres(tmp_path_factory.mktemp("postgres") / "data", settings=IN_TESTS) as server:
        yield server


@pytest.fixture(scope="session")
def server(postgres: Postgres) -> Server:
    return Server(postgres)


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """Not migrated yet."""
    with server.database() as database:
        yield database


@pytest.fixture(scope="session")
def migrated_template(server: Server) -> Iterator[str]:
    with server.database() as database:
        migrate(database.owner_url)
        yield database.name


@pytest.fixture
def database(server: Server, migrated_template: str) -> Iterator[Database]:
    """Migrated, without a tenant."""
    with server.database(template=migrated_template) as database:
        yield database


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with store_of(database) as store:
        yield store


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return add_tenant(database, "one")


@pytest.fixture
def senders(database: Database) -> Senders:
    return Senders(database.operator_url)


@pytest.fixture
def cli(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command with the app's own environment, and the owner's URL beside it."""
    for name, value in stack._environment(notified_port=stack.hosts[0].port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INGEST_OWNER_DATABASE_URL", stack.postgres.owner_url)
    monkeypatch.setenv("INGEST_ADDRESS_DOMAINS", "dms.cloud")

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ingest", *arguments])
        capsys.readouterr()
        try:
            code = run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Done(code=code, out=captured.out, err=captured.err)

    return call
