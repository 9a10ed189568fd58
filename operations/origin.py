"""The place that an operator acts from, for the record of actions: a machine's name, or the address of a browser.

A statement by the operator's own tool, as the remark is, and no proof.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SETTING = "ingest.acts_from"  # read by ingest.record_action
MAX_ORIGIN = 200  # characters
_FOREIGN = re.compile(r"[^A-Za-z0-9.:%@_-]+")
_origin: ContextVar[str | None] = ContextVar("origin", default=None)


def origin() -> str:
    """Return the place that this thread or task acts from: the machine's name where no other place is known."""
    return _FOREIGN.sub("_", _origin.get() or platform.node())[:MAX_ORIGIN]


@contextmanager
def acting_from(place: str) -> Iterator[None]:
    """Let the block, with the threads that it waits for, act from `place`."""
    token = _origin.set(place)
    try:
        yield
    finally:
        _origin.reset(token)
