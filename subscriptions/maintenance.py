"""The regular care of every mailbox: its subscription renewed, its inbox swept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import zip_longest
from typing import Protocol

from ingest import log, wiring
from ingest.errors import IngestError
from ingest.model import MessageRef
from subscriptions.calls import Subscriptions
from subscriptions.notifications import LifecycleEvent, SubscriptionEvent
from subscriptions.plan import Wanted, wanted_by
from subscriptions.renewal import Renewal


class Sweeping(Protocol):
    """Finds what is left in an inbox."""

    def sweep(self, mailbox: str) -> list[MessageRef]:
        """The messages to enqueue. Raises IngestError."""


class Maintenance:
    """Cares for the mailboxes, one's trouble never keeping it from another, nor a renewal's from sweeping."""

    def __init__(self, *, mailboxes: Sequence[Wanted], renewal: Renewal, sweep: Sweeping) -> None:
        self._mailboxes = {want.mailbox: want for want in mailboxes}
        self._renewal = renewal
        self._sweep = sweep

    def maintain(self) -> list[MessageRef]:
        """Returns what is to be enqueued. Raises nothing of a mailbox's: it is logged as an error instead."""
        refs: list[list[MessageRef]] = []
        for want in self._mailboxes.values():
            with _told("subscription.failed", want.mailbox):
                self._renewal.ensure(want)
            with _told("sweep.failed", want.mailbox):
                refs.append(self._sweep.sweep(want.mailbox))
        return _in_turns(refs)

    def answer(self, event: SubscriptionEvent) -> list[MessageRef]:
        """Answer a lifecycle event. Returns what is to be enqueued; raises Later, so that the queue tries again."""
        want = self._mailboxes.get(event.mailbox)
        if want is None:
            log.warning("subscription.unknown_mailbox", mailbox=event.mailbox)
            return []
        log.info("subscription.event", mailbox=event.mailbox, lifecycle=event.event)
        reauthorize = event.event is LifecycleEvent.REAUTHORIZATION_REQUIRED
        self._renewal.ensure(want, renew_now=reauthorize)
        return [] if reauthorize else self._sweep.sweep(event.mailbox)


def _in_turns(refs: Sequence[Sequence[MessageRef]]) -> list[MessageRef]:
    """One of each mailbox, then the next of each: Outlook's four requests at a time are for each mailbox by itself."""
    return [ref for turn in zip_longest(*refs) for ref in turn if ref is not None]


@contextmanager
def _told(failure: str, mailbox: str) -> Iterator[None]:
    """What goes wrong in here is logged as `failure`, and goes no further."""
    try:
        yield
    except IngestError as error:
        log.error(failure, mailbox=mailbox, cause=log.describe(error))
    except Exception as error:  # noqa: BLE001 - a defect in one mailbox's care is not to starve the others
        log.error(failure, mailbox=mailbox, frames=log.frames(error))


@cache
def maintenance() -> Maintenance:
    """The one of this process. Raises SettingsError."""
    app = wiring.app()
    return Maintenance(
        mailboxes=[wanted_by(app.settings, mailbox) for mailbox in app.settings.mailboxes],
        renewal=Renewal(Subscriptions(app.graph)),
        sweep=app.sweep,
    )
