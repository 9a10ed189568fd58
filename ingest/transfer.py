"""The transfers of one message: tries of a download, the lease kept alive, and one deadline over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from ingest import log
from ingest.errors import ContentInterrupted, Overdue
from ingest.model import Claim
from ingest.ports import Claims

# Below functionTimeout in host.json: a host that kills the process at ten minutes makes a slow cloud look like a crash.
MESSAGE_SECONDS = 480.0
CONTENT_TRIES = 3  # of one download within one try of the message

type Open = Callable[[], AbstractContextManager[Iterator[bytes]]]


class Transfer:
    """The transfers of one claimed message, for all of its tenants.

    Each block that passes keeps the lease alive. A lost lease and the deadline end the transfer.
    """

    def __init__(self, claim: Claim, claims: Claims, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._claim = claim
        self._claims = claims
        self._clock = clock
        self._renewed_at = clock()
        self._deadline = self._renewed_at + MESSAGE_SECONDS

    def while_owned(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same blocks. Raises LeaseLost, and Overdue past the deadline."""
        for block in blocks:
            self.keep_alive()
            yield block

    def keep_alive(self) -> None:
        """Renew the lease where a third of it is used up. Raises LeaseLost, and Overdue past the deadline."""
        now = self._clock()
        if now > self._deadline:
            raise Overdue(f"the message is not filed after {MESSAGE_SECONDS:g} seconds; another try goes on")
        if now - self._renewed_at > self._claim.lease_seconds / 3:
            self._claims.renew(self._claim)
            self._renewed_at = now

    def download[Result](self, name: str, open_content: Open, take: Callable[[Iterator[bytes]], Result]) -> Result:
        """Give all blocks of a download to `take`, and return the result. `name` is for the log.

        A download that breaks off starts over with a new call of `take`: half of a content counts for nothing.
        Raises ContentInterrupted after CONTENT_TRIES, LeaseLost, and Overdue past the deadline.
        """
        for attempt in range(1, CONTENT_TRIES):
            try:
                return self._download_once(open_content, take)
            except ContentInterrupted as interrupted:
                log.info("content.interrupted", content=name, attempt=attempt, cause=log.describe(interrupted))
        return self._download_once(open_content, take)

    def _download_once[Result](self, open_content: Open, take: Callable[[Iterator[bytes]], Result]) -> Result:
        with open_content() as blocks:
            return take(self.while_owned(blocks))
