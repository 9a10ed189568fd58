"""The calls of all fakes in one order, and the trouble that a test has in store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable


class Journal:
    """`steps` are the names of the calls; `trouble[name]` is raised by the next calls of that name, in order; a
    None lets one pass, and a function is called for what it returns.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.trouble: defaultdict[str, list[Exception | Callable[[], Exception] | None]] = defaultdict(list)

    def step(self, name: str) -> None:
        self.steps.append(name)
        trouble = self.trouble[name].pop(0) if self.trouble[name] else None
        if callable(trouble):
            trouble = trouble()
        if trouble:
            raise trouble
