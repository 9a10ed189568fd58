"""The coverage's measurement, stopped where a test adds nothing to the coverage.

Before Python 3.14 coverage.py measures branches by a trace function. Python then reports the lines of all libraries,
which are not counted: measured code runs at half of its speed.

https://coverage.readthedocs.io/en/latest/config.html#config-run-core
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from coverage import Coverage

_PROCESSES = "COVERAGE_PROCESS_CONFIG"  # coverage.py's own variable, for `patch = subprocess`


@contextmanager
def not_measured() -> Iterator[None]:
    """Leave this process, and those that it starts, out of the coverage for the length of the block."""
    measuring = Coverage.current()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(_PROCESSES, raising=False)
        if measuring is not None:
            measuring.stop()
        try:
            yield
        finally:
            if measuring is not None:
                measuring.start()
