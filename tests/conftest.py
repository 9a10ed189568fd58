"""How the tests are dealt out to the workers of pytest-xdist: tests that share a running system stay together.

A file is a group, so that what a file has set up serves all of it; the files that use the same session fixture are one
group, so that it is started once, and not once for each worker.
"""

from collections import defaultdict
from pathlib import Path

import pytest

_SHARED = ("stack", "postgres", "azurite")  # session fixtures that start processes, the most expensive one first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    used: defaultdict[Path, set[str]] = defaultdict(set)
    for item in items:
        used[item.path].update(getattr(item, "fixturenames", ()))
    for item in items:
        file, _, _ = item.nodeid.partition("::")
        group = next((name for name in _SHARED if name in used[item.path]), file)
        item.add_marker(pytest.mark.xdist_group(group))
