"""Delivery of notifications to webhooks: batches, time limits, retries; and what tests do to them.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
"""

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import aiohttp

from local.graph import clock
from local.graph.http.traffic import TrafficLog
from local.graph.mail.exchange import Json
from local.graph.push.changes import ChangeFeed

type Kind = Literal["notification", "lifecycle"]

_FIRST_TIMEOUT = 3.0
_RETRY_TIMEOUT = 10.0
# Deliveries to one URL at a time, and items in one of them when a burst is waiting.
_LANES = 8
_MAX_ITEMS = 20
# With the real first gap of about 10 s, the gaps add up to the documented 4 hours.
_RETRY_BUDGET_IN_GAPS = 1_440


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFaults:
    """Faults of change notifications (never of lifecycle ones) before they are sent.

    `delay` is a range in seconds; `drop_next` counts down.
    """

    drop_next: int = 0
    drop_probability: float = 0.0
    double_probability: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    reorder: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One POST to a webhook; `status` is None where there was no answer."""

    at: datetime
    url: str
    kind: Kind
    subscription_ids: tuple[str, ...]
    items: int
    attempt: int
    status: int | None
    milliseconds: float


@dataclass(slots=True)
class _Batch:
    url: str
    kind: Kind
    items: list[Json]
    attempt: int = 1
    waited_gaps: int = 0


@dataclass(slots=True)
class _Target:
    """One webhook URL: what waits for it, and its workers."""

    waiting: dict[Kind, deque[Json]] = field(default_factory=lambda: {"notification": deque(), "lifecycle": deque()})
    work: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))


class Notifier:
    """Delivers the notifications of all subscriptions. Needs a running loop; `close` ends it."""

    def __init__(self, *, retry_base: float, feed: ChangeFeed, traffic: TrafficLog) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=10_000)
        self.counters: Counter[str] = Counter()
        # A connection for each delivery: one that the webhook closes while idle would look like a refusal.
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), trust_env=False)
        self._retry_base = retry_base
        self._feed = feed
        self._traffic = traffic
        self._targets: dict[str, _Target] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush = asyncio.Event()
        self._online = asyncio.Event()
        self._online.set()
        self.faults = DeliveryFaults()
        self._random = random.Random(0)  # noqa: S311 - faults must be replayable from a seed, not unpredictable

    async def close(self) -> None:
        """Drop what is not delivered yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.session.close()

    def set_faults(self, faults: DeliveryFaults) -> None:
        """From the next notification on."""
        self.faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311 - as above

    def set_online(self, *, online: bool) -> None:
        """While offline, notifications wait."""
        if online:
            self._online.set()
        else:
            self._online.clear()

    def deliver_now(self) -> None:
        """Everything that waits for a delay or a retry goes out at once."""
        self._flush.set()
        self._flush = asyncio.Event()

    def send(self, url: str, item: Json, kind: Kind) -> None:
        """Queue one item for `url`."""
        if kind == "lifecycle":
            self._put(url, kind, item)
        elif self._is_dropped():
            self.counters["dropped"] += 1
            self._feed.bump()
        else:
            doubled = self._random.random() < self.faults.double_probability
            if doubled:
                self.counters["doubled"] += 1
            for _ in range(1 + doubled):
                self._put_after_delay(url, item)

    def _is_dropped(self) -> bool:
        if self.faults.drop_next > 0:
            self.faults = replace(self.faults, drop_next=self.faults.drop_next - 1)
            return True
        return self._random.random() < self.faults.drop_probability

    def _put_after_delay(self, url: str, item: Json) -> None:
        delay = self._random.uniform(*self.faults.delay)
        if delay > 0:
            self.counters["delayed"] += 1
            self._start(self._put_later(delay, url, item))
        else:
            self._put(url, "notification", item)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _put_later(self, delay: float, url: str, item: Json) -> None:
        await self._pause(delay)
        self._put(url, "notification", item)

    def _put(self, url: str, kind: Kind, item: Json) -> None:
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = _Target()
            for _ in range(_LANES):
                self._start(self._lane(url, target))
        waiting = target.waiting[kind]
        if kind == "notification" and self.faults.reorder and waiting:
            self.counters["reordered"] += 1
            waiting.insert(self._random.randrange(len(waiting)), item)
        else:
            waiting.append(item)
        target.work.release()

    async def _lane(self, url: str, target: _Target) -> None:
        while True:
            await target.work.acquire()
            await self._online.wait()
            for kind, waiting in target.waiting.items():
                if waiting:
                    count = min(len(waiting), _MAX_ITEMS)
                    # The items that ride along no longer need a lane of their own to wake up for them.
                    await self._deliver(_Batch(url, kind, [waiting.popleft() for _ in range(count)]))

    async def _deliver(self, batch: _Batch) -> None:
        timeout = _FIRST_TIMEOUT if batch.attempt == 1 else _RETRY_TIMEOUT
        body = {"value": batch.items}
        self._traffic.notification(body)
        started = time.perf_counter()
        status: int | None = None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            async with self.session.post(
                batch.url, json=body, timeout=aiohttp.ClientTimeout(total=timeout), allow_redirects=False
            ) as answer:
                await answer.read()
                status = answer.status
        self.deliveries.append(
            Delivery(
                at=clock.now(),
                url=batch.url,
                kind=batch.kind,
                subscription_ids=tuple(dict.fromkeys(item["subscriptionId"] for item in batch.items)),
                items=len(batch.items),
                attempt=batch.attempt,
                status=status,
                milliseconds=(time.perf_counter() - started) * 1000,
            )
        )
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - the HTTP class of success
            self.counters["delivered"] += len(batch.items)
        else:
            self.counters["failed deliveries"] += 1
            self._start(self._retry(batch))
        self._feed.bump()

    async def _retry(self, batch: _Batch) -> None:
        gaps = 2 ** (batch.attempt - 1)
        if batch.waited_gaps + gaps > _RETRY_BUDGET_IN_GAPS:
            self.counters["given up"] += len(batch.items)
            self._feed.bump()
            return
        await self._pause(gaps * self._retry_base)
        await self._online.wait()
        await self._deliver(_Batch(batch.url, batch.kind, batch.items, batch.attempt + 1, batch.waited_gaps + gaps))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._flush.wait()
