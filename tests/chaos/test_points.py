"""The list of kill points names every call that the app and the host make, and none that they don't."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.points import CALLS, ELSEWHERE, FREQUENT

ROOT = Path(__file__).parents[2]
# Methods with the name of the call as first argument, and the system that is called.
_NAMED_BY = {
    **dict.fromkeys(
        (
            f"ingest/storage/{name}.py"
            for name in ("backlog", "claims", "copies", "findings", "rejections", "tenants", "turns")
        ),
        ("sql", {"one", "all", "none", "connection", "_write", "_give_back"}),
    ),
    "ingest/graph/deleted.py": ("graph", {"request"}),
    "ingest/graph/folders.py": ("graph", {"request"}),
    "ingest/graph/mailbox.py": ("graph", {"request", "stream"}),
    "subscriptions/calls.py": ("graph", {"request"}),
}


def calls() -> Iterator[str]:
    for path in (ROOT / "ingest").rglob("*.py"):
        yield from literals(path, {"span"})
    yield from literals(ROOT / "local/functions_host/storage.py", {"_observed", "_hide"})
    yield "queue.put"
    yield "queue.poison"  # the two names that Queue.put is given by its callers
    for module, (system, methods) in _NAMED_BY.items():
        for name in literals(ROOT / module, methods):
            yield f"{system}.{name}"
            if name in streamed(ROOT / module):
                yield f"{system}.{name}.content"


def literals(path: Path, functions: set[str]) -> Iterator[str]:
    """The texts that are first arguments of these functions, in the source of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in functions and isinstance(node.args[0].value, str):
                yield node.args[0].value


def streamed(path: Path) -> set[str]:
    return set(literals(path, {"stream"}))


def test_no_call_is_forgotten() -> None:
    assert set(calls()) - ELSEWHERE.keys() == set(CALLS)


def test_each_point_is_listed_once() -> None:
    assert len(set(CALLS)) == len(CALLS)
    assert not ELSEWHERE.keys() & set(CALLS)


def test_the_frequent_calls_are_calls() -> None:
    assert set(CALLS) >= FREQUENT
