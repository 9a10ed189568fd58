"""The begin and the end of I/O: one hook for the waterfall of a mail, for counting, and for the chaos suite.

Every call to Graph, Blob and Postgres runs inside `span(name)`. Without a listener a span costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

type Phase = Literal["before", "after", "failed"]
type Listener = Callable[[str, Phase], None]
type Meter = Callable[[str, float], None]

_listeners: list[Listener] = []
_meters: list[Meter] = []


def subscribe(listener: Listener) -> Callable[[], None]:
    """Call `listener(name, phase)` around every span from now on. Returns the function that ends the subscription."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def subscribe_meter(meter: Meter) -> Callable[[], None]:
    """Call `meter(name, amount)` for every amount from now on. Returns the function that ends the subscription."""
    _meters.append(meter)
    return lambda: _meters.remove(meter)


def count(name: str, amount: float) -> None:
    """Report an amount, such as the bytes of a blob that was written."""
    for meter in _meters:
        meter(name, amount)


class span:  # noqa: N801 - used as a function: a generator's context manager takes five times as long
    """One I/O operation, named `<system>.<operation>`. An operation that raises has "failed" and no "after"."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        for listener in _listeners:
            listener(self._name, "before")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for listener in _listeners:
            listener(self._name, "after" if kind is None else "failed")
