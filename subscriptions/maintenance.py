"""The regular care of every mailbox: its subscription renewed, its inbox swept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import zip_longest
from typing import Protocol

from ingest import log, wiring
from ingest.errors import IngestError
from ingest.model.message_ref import MessageRef
from subscriptions.calls import Subscriptions
from subscriptions.notifications import LifecycleEvent, SubscriptionEvent
from subscriptions.plan import Step, Wanted, wanted_by
from subscriptions.renewal import Renewal

MAILBOXES_AT_A_TIME = 8  # each waits for Graph in a thread of its own


class Sweeping(Protocol):
    """The search for messages that are left in an inbox."""

    def sweep(self, mailbox: str) -> list[MessageRef]:
        """Return the messages to enqueue. Raises IngestError."""


class Maintenance:
    """The care of all mailboxes. Trouble of one mailbox never stops another; a failed renewal never stops a sweep."""

    def __init__(self, *, mailboxes: Sequence[Wanted], renewal: Renewal, sweep: Sweeping) -> None:
        self._mailboxes = {want.mailbox: want for want in mailboxes}
        self._renewal = renewal
        self._sweep = sweep

    def maintain(self) -> list[MessageRef]:
        """Renew and sweep every mailbox; return the messages to enqueue. Trouble of a mailbox is only logged."""
        # At the same time: each mailbox has its own places at Graph, and one that is throttled or down delays no other.
        with ThreadPoolExecutor(MAILBOXES_AT_A_TIME, thread_name_prefix="maintain") as threads:
            return _in_turns(list(threads.map(self._care_for, self._mailboxes.values())))

    def _care_for(self, want: Wanted) -> list[MessageRef]:
        # At the same time: a backlog waits for the listing, and seldom is there anything to renew.
        with ThreadPoolExecutor(1, thread_name_prefix="renew") as beside:
            renewal = beside.submit(self._renew, want)
            refs = self._sweep_mailbox(want)
        if renewal.result():
            # A mail that came after the listing and before the change was announced to no subscription.
            refs += self._sweep_mailbox(want)
        return refs

    def _renew(self, want: Wanted) -> Sequence[Step]:
        """Return the steps that changed the mailbox's subscription."""
        steps: list[Step] = []
        with _logged("subscription.failed", want.mailbox):
            steps += self._renewal.ensure(want)
        return steps

    def _sweep_mailbox(self, want: Wanted) -> list[MessageRef]:
        refs: list[MessageRef] = []
        with _logged("sweep.failed", want.mailbox):
            refs += self._sweep.sweep(want.mailbox)
        return refs

    def answer(self, event: SubscriptionEvent) -> list[MessageRef]:
        """Answer a lifecycle event; return the messages to enqueue. Raises Later, so that the queue tries again."""
        want = self._mailboxes.get(event.mailbox)
        if want is None:
            log.warning("subscription.unknown_mailbox", mailbox=event.mailbox)
            return []
        log.info("subscription.event", mailbox=event.mailbox, lifecycle=event.event)
        if event.event is LifecycleEvent.REAUTHORIZATION_REQUIRED:
            self._renewal.reauthorize(want)
            return []
        self._renewal.ensure(want)
        return self._sweep.sweep(event.mailbox)


def _in_turns(refs: Sequence[Sequence[MessageRef]]) -> list[MessageRef]:
    """Take one message of each mailbox in turn: Outlook allows four requests at a time to each mailbox by itself."""
    return [ref for turn in zip_longest(*refs) for ref in turn if ref is not None]


@contextmanager
def _logged(failure: str, mailbox: str) -> Iterator[None]:
    """Log an exception in the block as `failure`, and raise nothing."""
    try:
        yield
    except IngestError as error:
        log.error(failure, mailbox=mailbox, cause=log.describe(error))
    except Exception as error:  # noqa: BLE001 - a defect in the care of one mailbox must not stop the care of the others
        log.error(failure, mailbox=mailbox, frames=log.frames(error))


@cache
def maintenance() -> Maintenance:
    """Return the maintenance of this process. Raises SettingsError."""
    app = wiring.app()
    return Maintenance(
        mailboxes=[wanted_by(app.settings, mailbox) for mailbox in app.settings.mailboxes],
        renewal=Renewal(Subscriptions(app.graph)),
        sweep=app.sweep,
    )
