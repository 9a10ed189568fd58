"""One attempt at a time, the failure of which all that waited for it share.

All mails in work need a token. Where the endpoint does not answer, each call takes its time limit. One after the other,
the calls would outlast a function's time: the host ends the process then, and the outage is a crash of each mail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from ingest.errors import GraphUnavailable


class SharedAttempt:
    """The turns of one call's attempts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failure: tuple[str, float] | None = None  # the text of the last failure, and its time

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn. Raises GraphUnavailable where another attempt has failed during the wait."""
        asked = self._clock()
        with self._lock:
            if self._failure is not None and self._failure[1] > asked:
                raise GraphUnavailable(self._failure[0])
            try:
                yield
            except GraphUnavailable as failure:
                self._failure = str(failure), self._clock()
                raise
