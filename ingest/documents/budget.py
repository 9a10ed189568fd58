"""The budget of one mail: processor time, time, bytes and parts that taking a stranger's mail apart may cost.

All parts of the mail share the budget. Spools ask the budget on each read, so every loop of a reader is within it.
Past the budget a part is a document as it is, with the rule `too_costly`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest.codes import Rule
from ingest.errors import PartRejected
from ingest.model import Limits

BEAT_SECONDS = 1.0  # between two calls of `keep_alive`


class Budget:
    """The account of one mail. Belongs to the thread that takes the mail apart.

    `parts_left` and `bytes_left` count what comes out of containers; the sorter lowers them.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_alive: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep_alive` is called about once a second meanwhile; its errors pass through. `clock`: seconds."""
        self.parts_left = limits.parts
        self.bytes_left = limits.expanded_bytes
        self._processor_left = limits.processor_seconds
        self._wall_left = limits.wall_seconds
        self._keep_alive = keep_alive
        self._clock = clock
        self._counting = True
        self._processor_at = time.thread_time()
        self._wall_at = self._beat_at = clock()

    @property
    def seconds_left(self) -> float:
        """Return the smaller of the processor seconds and the wall seconds that are left, at least 0."""
        self._settle()
        return max(0.0, min(self._processor_left, self._wall_left))

    def ask(self) -> None:
        """Raise PartRejected(too_costly) if the time is used up. Otherwise cheap enough for an inner loop."""
        now = self._clock()
        if now - self._beat_at > BEAT_SECONDS:
            self._beat_at = now
            self._keep_alive()
        if self._counting and self.seconds_left == 0:
            raise PartRejected(Rule.TOO_COSTLY)

    def charge(self, processor_seconds: float) -> None:
        """Count processor time of another process that worked for the mail."""
        self._processor_left -= processor_seconds

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leave the time of the block out of the account: transfers, and what must be done even past the budget."""
        self._settle()
        counting, self._counting = self._counting, False
        try:
            yield
        finally:
            self._settle()
            self._counting = counting

    def _settle(self) -> None:
        """Take the time since the last call off the account, if the time counts."""
        processor, now = time.thread_time(), self._clock()
        if self._counting:
            self._processor_left -= processor - self._processor_at
            self._wall_left -= now - self._wall_at
        self._processor_at, self._wall_at = processor, now
