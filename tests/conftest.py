"""How the tests are dealt out to the workers of pytest-xdist: by file, and files that share a running system together.

So what a file sets up serves all of it, and the stack is started by one worker and not by each.
"""

import pytest
from xdist.scheduler import LoadFileScheduling

# One not listed here costs a stack of its own, and nothing else.
_ONE_STACK = frozenset(
    f"tests/integration/test_{name}.py"
    for name in ("cli_operator", "documents", "regression_guard", "stack", "stack_mails", "verify")
)


class _ByRunningSystem(LoadFileScheduling):  # type: ignore[misc]  # the library has no types
    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "the stack" if file in _ONE_STACK else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    return _ByRunningSystem(config, log) if config.getoption("dist") == "loadfile" else None
