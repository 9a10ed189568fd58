"""A counter of everything that changes, so that tests await a state instead of sleeping."""

import asyncio


class ChangeFeed:
    """`version` grows with every visible change."""

    def __init__(self) -> None:
        self.version = 0
        self._pulse = asyncio.Event()

    def bump(self) -> int:
        """Something changed; everyone who waits looks again. The new version."""
        self.version += 1
        self._pulse.set()
        self._pulse = asyncio.Event()
        return self.version

    async def after(self, version: int, *, timeout: float) -> int:  # noqa: ASYNC109 - a long poll answers what it has when its time is up
        """Return the version as soon as it is above `version`; after `timeout` seconds, return it unchanged."""
        try:
            async with asyncio.timeout(timeout):
                while self.version <= version:
                    await self._pulse.wait()
        except TimeoutError:
            pass
        return self.version
