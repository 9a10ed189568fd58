"""How the tests are dealt out to the workers of pytest-xdist: by file, and files that share what runs together.

So what a file sets up serves all of it, and a stack or a server is started by one worker and not by each.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

# One not listed here costs a start of its own, and nothing else.
_SHARING = {
    "the stack": ("cli_operator", "documents", "regression_guard", "stack", "stack_mails", "verify"),
    "a database server": ("claim", "dms_django", "isolation", "migrations", "operators", "tenants"),
}
# Contract tests share servers; chaos spends most of its time waiting, which two of its tests must not do side by side.
_WHOLE = frozenset({"chaos", "contract"})
_SCOPES = {f"tests/integration/test_{name}.py": scope for scope, names in _SHARING.items() for name in names}


class _ByWhatRuns(LoadFileScheduling):  # type: ignore[misc]  # the library has no types
    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        folder = Path(file).parent.name
        return folder if folder in _WHOLE else _SCOPES.get(file, file)


@pytest.hookimpl(optionalhook=True)  # where the plugin is turned off, they run one after the other
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    return _ByWhatRuns(config, log) if config.getoption("dist") == "loadfile" else None
