"""The running system that the integration tests share. Its traffic with Graph is recorded for .ci/run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack

DATA = Path(__file__).parents[2] / ".local" / "test"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    shutil.rmtree(DATA, ignore_errors=True)
    with Stack(DATA, simulator_arguments=["--traffic", str(DATA / "traffic.jsonl")]) as stack:
        yield stack
