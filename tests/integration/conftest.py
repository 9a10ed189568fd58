"""The running system that the integration tests share. Its traffic with Graph is recorded for .ci/run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import azurite as azurite_emulator
from local.azurite import Azurite
from local.stack import Stack

DATA = Path(__file__).parents[2] / ".local" / "test"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    shutil.rmtree(DATA, ignore_errors=True)
    with Stack(DATA, simulator_arguments=["--traffic", str(DATA / "traffic.jsonl")]) as stack:
        yield stack


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Storage of its own for tests that need no more than that. Nobody stops it: others are using it."""
    data = tmp_path_factory.mktemp("azurite")
    with azurite_emulator.running(data=data, log=data / "log") as emulator:
        yield emulator
