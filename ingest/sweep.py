"""Messages left in the inbox → messages to enqueue. Notifications get lost; the inbox itself is the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingest import log
from ingest.errors import IngestError
from ingest.model.message import ListedMessage
from ingest.model.message_ref import MessageRef
from ingest.ports import Backlog, Inbox, Junk

JUNK_LIMIT = 100  # messages of Junk Email that one sweep brings into the inbox; the next sweep goes on


class Sweep:
    """The search for messages that are not on their way: oldest first, all pages, at most `limit` on the queue."""

    def __init__(self, *, inbox: Inbox, backlog: Backlog, limit: int, junk: Junk | None = None) -> None:
        """`limit`: enqueued messages of one mailbox that have not ended; beyond the limit the sweep waits.

        `junk`: Junk Email, where its messages are to be brought into the inbox.
        """
        self._inbox = inbox
        self._junk = junk
        self._backlog = backlog
        self._limit = limit

    def sweep(self, mailbox: str) -> list[MessageRef]:
        """Return the messages to enqueue now; the backlog records them as enqueued.

        A message that is enqueued and then lost comes up again, each time after a longer wait. Trouble
        that came before any message was found is raised: Later, NotFound or Defect.
        """
        due: list[MessageRef] = []
        try:
            for found in self._due(mailbox):
                due += found
        except IngestError as trouble:
            if not due:
                raise
            # The backlog records these messages as enqueued: held back now, they would wait for the next sweep.
            log.warning("sweep.interrupted", mailbox=mailbox, cause=log.describe(trouble))
        log.info("sweep.done", mailbox=mailbox, enqueued=len(due))
        return due

    def _due(self, mailbox: str) -> Iterator[Sequence[MessageRef]]:
        outstanding = self._backlog.outstanding(mailbox)
        abandoned = self._backlog.enqueue_abandoned(mailbox, outstanding=outstanding)
        yield abandoned
        outstanding += len(abandoned)
        if outstanding < self._limit:
            turns = self._backlog.give_turns(mailbox, limit=self._limit - outstanding, outstanding=self._limit)
            yield turns
            outstanding += len(turns)
        if self._junk is not None and outstanding < self._limit:
            self._bring_in(self._junk, mailbox)
        listing, page = self._inbox.list_inbox(mailbox), list[ListedMessage]()
        while outstanding < self._limit:
            page = page or list(next(listing, ()))
            if not page:
                return
            room = self._limit - outstanding
            head, page = page[:room], page[room:]
            found = self._backlog.enqueue(mailbox, head, outstanding=outstanding + len(head))
            yield found
            outstanding += len(found)
        log.warning("sweep.limit_reached", mailbox=mailbox, limit=self._limit)

    def _bring_in(self, junk: Junk, mailbox: str) -> None:
        """Bring junk into the inbox, which is listed next. Trouble with junk does not stop the sweep of the inbox."""
        try:
            moved = junk.bring_in_junk(mailbox, limit=JUNK_LIMIT)
        except IngestError as trouble:
            log.warning("sweep.junk_not_read", mailbox=mailbox, cause=log.describe(trouble))
            return
        if moved:
            log.info("sweep.junk_brought_in", mailbox=mailbox, mails=moved, limit=JUNK_LIMIT)
