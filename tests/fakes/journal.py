"""The calls of all fakes in one order, and the trouble that a test has in store."""

from __future__ import annotations

from collections import defaultdict


class Journal:
    """`steps` are the names of the calls; `trouble[name]` is raised by the next calls of that name, in order; a
    None lets one pass.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.trouble: defaultdict[str, list[Exception | None]] = defaultdict(list)

    def step(self, name: str) -> None:
        self.steps.append(name)
        trouble = self.trouble[name].pop(0) if self.trouble[name] else None
        if trouble:
            raise trouble
