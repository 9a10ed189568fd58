"""What is left in the inbox → what to enqueue. Notifications get lost; the inbox itself is the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingest import log
from ingest.errors import Later
from ingest.model import MessageRef
from ingest.ports import Backlog, Inbox


class Sweep:
    """Finds what is not on its way: oldest first, all pages, and never more than the queue should hold."""

    def __init__(self, *, inbox: Inbox, backlog: Backlog, limit: int) -> None:
        """`limit`: messages of one mailbox on the queue that nobody has taken up; beyond it the sweep waits."""
        self._inbox = inbox
        self._backlog = backlog
        self._limit = limit

    def sweep(self, mailbox: str) -> list[MessageRef]:
        """The messages to enqueue now, remembered as enqueued. Raises Later where trouble came before any was found.

        What is enqueued and then lost comes up again, each time later than the time before.
        """
        due: list[MessageRef] = []
        try:
            for found in self._due(mailbox):
                due += found
        except Later as later:
            if not due:
                raise
            # They are remembered as enqueued: kept back now, they would wait for nothing.
            log.warning("sweep.interrupted", mailbox=mailbox, cause=log.describe(later))
        log.info("sweep.done", mailbox=mailbox, enqueued=len(due))
        return due

    def _due(self, mailbox: str) -> Iterator[Sequence[MessageRef]]:
        abandoned = self._backlog.enqueue_abandoned(mailbox)
        yield abandoned
        room = self._limit - self._backlog.outstanding(mailbox) - len(abandoned)
        for listing in self._inbox.left_over(mailbox):
            page = listing
            while page and room > 0:
                head, page = page[:room], page[room:]
                found = self._backlog.enqueue(mailbox, head)
                yield found
                room -= len(found)
            if room <= 0:
                log.warning("sweep.limit_reached", mailbox=mailbox, limit=self._limit)
                return
