"""The real parts that the fakes are held against: one Postgres, one Azurite, one Graph simulator for all of them."""

from collections.abc import Iterator

import pytest

from local import azurite as azurite_emulator
from local.graph.process import Simulator, running_simulator
from local.postgres import Postgres
from tests.integration.databases import IN_TESTS

MAILBOXES = [f"box{number}@dms.example" for number in range(40)]  # one a test: none sees another's mails


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres") / "data", settings=IN_TESTS) as server:
        server.migrate()
        yield server


@pytest.fixture(scope="session")
def blob_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A connection string."""
    azurite_emulator.install()
    folder = tmp_path_factory.mktemp("azurite")
    azurite = azurite_emulator.Azurite(data=folder, log=folder / "log")
    azurite.blob.start()
    try:
        yield azurite.connection_string
    finally:
        azurite.stop()


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(tmp_path_factory.mktemp("simulator") / "data", MAILBOXES) as started:
        yield started


@pytest.fixture(scope="session")
def free_mailboxes() -> Iterator[str]:
    """Each is taken once."""
    return iter(MAILBOXES)
