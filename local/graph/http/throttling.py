"""Outlook's limits per app and mailbox: requests at the same time, requests in a window."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from local.graph.config import Limits
from local.graph.http.errors import GraphError


@dataclass(slots=True)
class _Usage:
    active: int = 0
    most_active: int = 0
    busy: float = 0.0
    starts: deque[float] = field(default_factory=deque)


class Throttle:
    """One counter per mailbox (the simulator knows one app)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._usage: dict[str, _Usage] = {}

    @contextmanager
    def slot(self, mailbox: str) -> Iterator[None]:
        """Take a place among the requests in progress; 429 where there is none left."""
        usage = self._usage.setdefault(mailbox, _Usage())
        if usage.active >= self._limits.concurrent_requests:
            raise _throttled("MailboxConcurrency", 1)
        moment = time.monotonic()
        oldest = moment - self._limits.window_seconds
        while usage.starts and usage.starts[0] <= oldest:
            usage.starts.popleft()
        if len(usage.starts) >= self._limits.requests_per_window:
            raise _throttled("MailboxRequestRate", max(1, math.ceil(usage.starts[0] - oldest)))
        usage.starts.append(moment)
        usage.active += 1
        usage.most_active = max(usage.most_active, usage.active)
        try:
            yield
        finally:
            usage.active -= 1
            usage.busy += time.monotonic() - moment

    def most_concurrent(self) -> dict[str, int]:
        """Return the most requests that were in progress at once, by mailbox."""
        return {mailbox: usage.most_active for mailbox, usage in self._usage.items()}

    def busy_seconds(self) -> dict[str, float]:
        """Return the seconds for which requests that have ended held places, all places together, by mailbox."""
        return {mailbox: usage.busy for mailbox, usage in self._usage.items()}

    def reset_counters(self) -> None:
        """Forget maxima and times; what is in progress and the windows stay."""
        for usage in self._usage.values():
            usage.most_active = usage.active
            usage.busy = 0.0


def _throttled(limit: str, retry_after: int) -> GraphError:
    return GraphError(
        429,
        "ApplicationThrottled",
        f"Application is over its {limit} limit.",
        headers={"Retry-After": str(retry_after)},
    )
