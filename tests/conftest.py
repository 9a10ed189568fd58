"""The distribution of tests over the workers of pytest-xdist: a test file stays on one worker.

Files that share servers stay on one worker too, so that the servers are started once. Such a file says so by a
marker, `pytestmark = pytest.mark.shares("stack")`. A file without the marker costs a start of its own.
"""

import gc
import os
import re
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from tests.measuring import not_measured

# The tests of these folders run one after the other: contract tests share servers, and two chaos runs at once would
# spoil each other's waits.
_WHOLE = frozenset({"chaos", "contract"})
_FIRST = "gw0"  # as pytest-xdist calls its workers
# Read from the text: the process that distributes the tests does not import them. The plugin's own way (`loadgroup`)
# changes a private attribute of pytest's items, which pytest 9.2 no longer has.
_MARKER = re.compile(r'^pytestmark = (?:\[\s*)?pytest\.mark\.shares\("(\w+)"\)', re.MULTILINE)

# No test asserts its own time: a busy machine would fail one. `thorough` is the profile of .ci/run for the tests that
# are marked so: five times the examples of `make test`.
hypothesis.settings.register_profile("any speed", deadline=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis.settings.load_profile("any speed")


class _ByWhatRuns(LoadFileScheduling):  # type: ignore[misc]  # the library has no types
    def _split_scope(self, nodeid: str) -> str:
        file = Path(str(super()._split_scope(nodeid)))
        folder = file.parent.name
        return folder if folder in _WHOLE else _group(self.config.rootpath / file) or str(file)


@cache
def _group(file: Path) -> str | None:
    found = _MARKER.search(file.read_text(encoding="utf-8"))
    return found[1] if found else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect at the least cost: each worker imports all tests, and with them the whole app.

    One worker measures the imports. The garbage collector leaves modules and tests alone, which live to the end: to
    look through them took a third of the collection's time and a tenth of the tests'.
    """
    gc.disable()
    try:
        with nullcontext() if os.environ.get("PYTEST_XDIST_WORKER", _FIRST) == _FIRST else not_measured():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module")
def unmeasured() -> Iterator[None]:
    """Leave a module's tests and the processes that they start out of the coverage, which halves their speed.

    Use the fixture where other tests run the same code, and where processes are killed: coverage.py writes nothing
    of a killed process.
    """
    with not_measured():
        yield


@pytest.hookimpl(optionalhook=True)  # where the plugin is turned off, tests run one after the other
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    return _ByWhatRuns(config, log) if config.getoption("dist") == "loadfile" else None
