"""Waiting that can be cut short, and how long to wait when a queue is empty or can't be read."""

import asyncio
import random
from datetime import timedelta

_LEAST = timedelta(milliseconds=100)


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than `seconds`; whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Backoff:
    """Doubles from 100 ms to a maximum, give or take a fifth, as the real host's queue listener does."""

    def __init__(self, most: timedelta) -> None:
        self._most = most
        self._doublings = 0

    def reset(self) -> None:
        """Begin again at the shortest delay."""
        self._doublings = 0

    def next(self) -> timedelta:
        """Say how long to wait before the next attempt."""
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - keeps pollers apart, no secret
        delay = _LEAST + _LEAST * spread * ((1 << self._doublings) - 1)
        if delay >= self._most:
            return self._most
        self._doublings += 1
        return delay
