"""The budget of one mail: processor time, time, bytes and parts that taking a stranger's mail apart may cost.

All parts of the mail share the budget. Spools ask the budget on each read, so every loop of a reader is within it.
Past the budget a part is a document as it is, with the rule `too_costly`.

A mail that has taken more than a moment rests after each slice of work until its turn in the lane of its process. Any
number of costly mails together leave most of the interpreter to honest mails and to the webhook.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heapify, heappush
from itertools import count
from threading import Condition
from typing import Self

from ingest.codes import Rule
from ingest.errors import PartRejected
from ingest.model.limits import Limits

BEAT_SECONDS = 1.0  # between two calls of `keep_alive`
ASK_SECONDS = 0.001  # between two looks at the account: the system call for a thread's time costs more than a loop
LIGHT_SECONDS = 0.02  # of processor time before a mail rests; an honest mail takes about ten thousandths, all in all
LIGHT_READING_SECONDS = 0.003  # of the same, spent on reading alone; an honest mail of 100 KB reads for one thousandth
MUCH_SECONDS = 0.1  # of processor time, after which a mail comes behind those that have used less
SLICE_SECONDS = 0.002  # of processor time between two rests
SHARE_BESIDE_OTHERS = 0.2  # of the interpreter, for all costly mails together while others are at work
SHARE_ALONE = 0.8  # the same while there are no others: the rest is for the webhook


class Lane:
    """The one lane of a process, in which its costly mails work. Mails that have used little so far go first.

    A turn is as long as its processor time divided by the share. No mail keeps the lane while the mail works, so that
    no mail waits for the transfers of another one.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._clock = clock
        self._changed = Condition()
        self._waiting: list[tuple[bool, int]] = []  # a heap: whether the mail has used much so far, and its number
        self._numbers = count()
        self._others = 0  # mails at work that have not become costly
        self._free_at = -math.inf

    def note_others(self, change: int) -> None:
        """Note that a mail has begun (1), or has ended or become a costly one (-1)."""
        with self._changed:
            self._others += change

    def await_turn(self, used: float, seconds: float, meanwhile: Callable[[], None]) -> None:
        """Wait for a turn of a mail that has used `used` seconds of processor time, the last `seconds` of them unpaid.

        `meanwhile` is called about once a second; its errors pass through, and the turn is not taken then.
        """
        place = (used > MUCH_SECONDS, next(self._numbers))
        with self._changed:
            heappush(self._waiting, place)
            try:
                while (rest := self._rest(place)) > 0:
                    self._changed.wait(min(rest, BEAT_SECONDS))
                    meanwhile()
                share = SHARE_BESIDE_OTHERS if self._others else SHARE_ALONE
                self._free_at = max(self._clock() - seconds, self._free_at) + seconds / share
            finally:
                self._waiting.remove(place)
                heapify(self._waiting)
                self._changed.notify_all()

    def _rest(self, place: tuple[bool, int]) -> float:
        """Return the seconds until the lane is free for this mail, as it looks now."""
        return self._free_at - self._clock() if self._waiting[0] == place else BEAT_SECONDS


class Pace:
    """The pace of one mail, in its thread: a costly mail rests for the processor time that the mail has used.

    A mail is costly by its reading, or by all of its time. From then on all of its time counts, that of transfers too.
    A context manager, for as long as the mail is at work.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._costly = False
        self._began = time.thread_time()
        self._paid_until = self._began + LIGHT_SECONDS

    def rest(self, meanwhile: Callable[[], None], *, read: float = 0.0) -> None:
        """Wait for the mail's turn in the lane, if the mail is a costly one. `meanwhile`: see Lane.await_turn.

        `read`: seconds of this thread's processor time that the mail has been read so far.
        """
        now = time.thread_time()
        unpaid = now - self._paid_until
        if not self._costly:
            unpaid = max(unpaid, read - LIGHT_READING_SECONDS)
        if unpaid < SLICE_SECONDS:
            return
        if not self._costly:
            self._costly = True
            self._lane.note_others(-1)
        self._lane.await_turn(now - self._began, unpaid, meanwhile)
        self._paid_until = time.thread_time()

    def __enter__(self) -> Self:
        self._lane.note_others(1)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._costly:
            self._lane.note_others(-1)


class Budget:
    """The account of one mail. Belongs to the thread that takes the mail apart.

    `parts_left` and `bytes_left` count what comes out of containers; the sorter lowers them.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_alive: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep_alive` is called about once a second meanwhile; its errors pass through.

        `pace`: that of the mail. `clock`: seconds.
        """
        self.parts_left = limits.parts
        self.bytes_left = limits.expanded_bytes
        self._processor_left = limits.processor_seconds
        self._wall_left = limits.wall_seconds
        self._keep_alive = keep_alive
        self._pace = pace
        self._clock = clock
        self._counting = True
        self._read = 0.0  # processor seconds of this thread that counted
        self._processor_at = time.thread_time()
        self._wall_at = self._beat_at = clock()
        self._asked_at = -math.inf

    @property
    def seconds_left(self) -> float:
        """Return the smaller of the processor seconds and the wall seconds that are left, at least 0."""
        self._settle()
        return max(0.0, min(self._processor_left, self._wall_left))

    def ask(self) -> None:
        """Raise PartRejected(too_costly) if the time is used up. Otherwise cheap enough for an inner loop.

        A costly mail may rest here.
        """
        now = self._clock()
        if now - self._asked_at < ASK_SECONDS:
            return
        self.check()
        if self._counting:
            if self._pace is not None:
                with self.uncounted():
                    self._pace.rest(self.check, read=self._read)
            self._asked_at = self._clock()

    def check(self) -> None:
        """Do as `ask`, but at once and without a rest: for a thread that waits."""
        now = self._clock()
        if now - self._beat_at > BEAT_SECONDS:
            self._beat_at = now
            self._keep_alive()
        if self._counting and self.seconds_left == 0:
            raise PartRejected(Rule.TOO_COSTLY)

    def charge(self, processor_seconds: float) -> None:
        """Count processor time of another process that worked for the mail."""
        self._processor_left -= processor_seconds
        self._asked_at = -math.inf

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
            self._read += processor - self._processor_at
            self._processor_left -= processor - self._processor_at
            self._wall_left -= now - self._wall_at
        self._processor_at, self._wall_at = processor, now
