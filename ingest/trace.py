"""The begin and the end of I/O: one hook for the waterfall of a mail, for counting, and for the chaos suite.

Every call to Graph, Blob and Postgres runs inside `span(name)`. Without a listener a span costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

type Phase = Literal["before", "after"]
type Listener = Callable[[str, Phase], None]

_listeners: list[Listener] = []


def subscribe(listener: Listener) -> Callable[[], None]:
    """Call `listener(name, phase)` around every span from now on. Returns the function that ends the subscription."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


@contextmanager
def span(name: str) -> Iterator[None]:
    """Mark one I/O operation, named `<system>.<operation>`. An operation that raises has no "after"."""
    for listener in _listeners:
        listener(name, "before")
    yield
    for listener in _listeners:
        listener(name, "after")
