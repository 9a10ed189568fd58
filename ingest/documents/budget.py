"""The budget of one mail: processor time, time, bytes and parts that taking a stranger's mail apart may cost.

All parts of the mail share the budget. Spools ask the budget on each read, so every loop of a reader is within it.
Past the budget a part is a document as it is, with the rule `too_costly`.

A mail that has taken more than a moment works in the lane of its process, slice by slice, and rests as long as it
worked. So any number of costly mails together leave half of the interpreter to honest mails and to the webhook.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Self

from ingest.codes import Rule
from ingest.errors import PartRejected
from ingest.model import Limits

BEAT_SECONDS = 1.0  # between two calls of `keep_alive`
LIGHT_SECONDS = 0.02  # of processor time before a mail needs the lane; an honest mail takes some thousandths
SLICE_SECONDS = 0.005  # of processor time before the lane is another mail's, and as long as the interpreter's own slice


class Budget:
    """The account of one mail. Belongs to the thread that takes the mail apart; `with` returns the lane at the end.

    `parts_left` and `bytes_left` count what comes out of containers; the sorter lowers them.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_alive: Callable[[], None] = lambda: None,
        lane: Lock | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep_alive` is called about once a second meanwhile; its errors pass through.

        `lane`: one lock for all budgets of a process. `clock`: seconds.
        """
        self.parts_left = limits.parts
        self.bytes_left = limits.expanded_bytes
        self._processor_left = limits.processor_seconds
        self._wall_left = limits.wall_seconds
        self._keep_alive = keep_alive
        self._lane = lane
        self._in_lane = False
        self._lane_at = 0.0  # processor time at which the slice began
        self._light_until = limits.processor_seconds - LIGHT_SECONDS  # processor seconds left
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
        """Raise PartRejected(too_costly) if the time is used up. Otherwise cheap enough for an inner loop.

        May wait for the lane.
        """
        self.check()
        if self._lane is not None and self._counting and self._processor_left < self._light_until:
            self._share(self._lane)

    def check(self) -> None:
        """Do as `ask`, but without the lane: for a thread that waits."""
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
        self.step_aside()
        self._settle()
        counting, self._counting = self._counting, False
        try:
            yield
        finally:
            self._settle()
            self._counting = counting

    def step_aside(self) -> None:
        """Leave the lane, if the mail is in the lane."""
        if self._in_lane and self._lane is not None:
            self._in_lane = False
            self._lane.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.step_aside()

    def _share(self, lane: Lock) -> None:
        """Work in slices: rest after each one, and wait while another mail is in the lane."""
        if self._in_lane:
            used = time.thread_time() - self._lane_at
            if used < SLICE_SECONDS:
                return
            with self.uncounted():
                time.sleep(used)
        with self.uncounted():
            while not lane.acquire(timeout=BEAT_SECONDS):
                self.check()
        self._in_lane, self._lane_at = True, time.thread_time()

    def _settle(self) -> None:
        """Take the time since the last call off the account, if the time counts."""
        processor, now = time.thread_time(), self._clock()
        if self._counting:
            self._processor_left -= processor - self._processor_at
            self._wall_left -= now - self._wall_at
        self._processor_at, self._wall_at = processor, now
