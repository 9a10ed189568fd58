"""The transfers of one message: attempts of a download, the lease kept alive, and one deadline over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ingest import log
from ingest.documents.budget import Pace
from ingest.errors import ContentInterrupted, Overdue, SlowTransfer
from ingest.model.claim import Claim
from ingest.ports import Claims

# With the longest steps before and after it, below functionTimeout in host.json: where one function outlasts its time,
# the host kills the process, and a slow cloud looks like a crash of every mail in work.
MESSAGE_SECONDS = 480.0
CONTENT_ATTEMPTS = 3  # of one download within one attempt of the message

type Open = Callable[[], AbstractContextManager[Iterator[bytes]]]


class Transfer:
    """The transfers of one claimed message, for all of its tenants.

    Each block that passes keeps the lease alive. A lost lease and the deadline end the transfer.
    """

    def __init__(
        self, claim: Claim, claims: Claims, *, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`pace`: that of the message; without one, no upload waits. `clock`: seconds."""
        self.pace = pace
        self._claim = claim
        self._claims = claims
        self._clock = clock
        self._began = self._renewed_at = clock()
        self._transferred = 0.0  # seconds of the downloads and uploads that have ended
        self._transferring_since: float | None = None

    def while_owned(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same blocks, and keep none of them. Raises as `keep_alive`."""

        def passed(block: bytes) -> bytes:
            self.keep_alive()
            return block

        return map(passed, blocks)

    def keep_alive(self) -> None:
        """Renew the lease where a third of it is used up. Raises LeaseLost.

        Raises past the deadline: Overdue where more than half of the message's time went into other work than
        transfers, else SlowTransfer.
        """
        now = self._clock()
        if now - self._began > MESSAGE_SECONDS:
            late = f"the message is not filed after {MESSAGE_SECONDS:g} seconds"
            if now - self._began - self._seconds_transferred(now) > MESSAGE_SECONDS / 2:
                raise Overdue(f"{late}; another attempt goes on")
            raise SlowTransfer(f"{late}, most of them in transfers; another attempt goes on")
        if now - self._renewed_at > self._claim.lease_seconds / 3:
            self._claims.renew(self._claim)
            self._renewed_at = now

    def download[Result](self, name: str, open_content: Open, take: Callable[[Iterator[bytes]], Result]) -> Result:
        """Give all blocks of a download to `take`, and return the result. `name` is for the log.

        A download that breaks off starts over with a new call of `take`: half of a content counts for nothing.
        Raises ContentInterrupted after CONTENT_ATTEMPTS, and as `keep_alive`.
        """
        for attempt in range(1, CONTENT_ATTEMPTS):
            try:
                return self._download_once(open_content, take)
            except ContentInterrupted as interrupted:
                log.info("content.interrupted", content=name, attempt=attempt, cause=log.describe(interrupted))
        return self._download_once(open_content, take)

    def _download_once[Result](self, open_content: Open, take: Callable[[Iterator[bytes]], Result]) -> Result:
        with self._timed(), open_content() as blocks:
            return take(self.while_owned(blocks))

    def upload[Result](self, blocks: Iterable[bytes], put: Callable[[Iterator[bytes]], Result]) -> Result:
        """Give all blocks to `put`, which uploads them, and return the result. Raises as `put` and `keep_alive`.

        The last request of an upload may take minutes: the deadline is looked at once more. A costly message rests
        before. No rest comes between two blocks: a request would stay open for its length.
        """
        if self.pace is not None:
            self.pace.rest(self.keep_alive)
        with self._timed():
            result = put(self.while_owned(blocks))
        self.keep_alive()
        return result

    def request[Result](self, ask: Callable[[], Result]) -> Result:
        """Send one request of many about stored contents, and return its result. Raises as `ask` and `keep_alive`."""
        self.keep_alive()
        with self._timed():
            return ask()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._transferring_since = self._clock()
        try:
            yield
        finally:
            self._transferred = self._seconds_transferred(self._clock())
            self._transferring_since = None

    def _seconds_transferred(self, now: float) -> float:
        return self._transferred + (0.0 if self._transferring_since is None else now - self._transferring_since)
