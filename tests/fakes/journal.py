"""The calls of all fakes in one order, and the trouble that a test has in store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable


class Journal:
    """The calls and their trouble.

    `steps` are the names of the calls. The next calls of a name raise `trouble[name]` in order; None lets a call pass,
    and a function returns the error or None.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.trouble: defaultdict[str, list[Exception | Callable[[], Exception | None] | None]] = defaultdict(list)

    def step(self, name: str) -> None:
        self.steps.append(name)
        trouble = self.trouble[name].pop(0) if self.trouble[name] else None
        if callable(trouble):
            trouble = trouble()
        if trouble:
            raise trouble
