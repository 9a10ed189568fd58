"""The backlog: messages that the sweep puts on the queue, each time with a growing distance to the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest import log
from ingest.model.message import ListedMessage
from ingest.model.message_ref import MessageRef, Trigger
from ingest.storage.database import Database

MAX_DISTANCE = 12  # times the first distance, however often a message was put off: an hour by default
# For each so many messages on the queue, the first distance counts once more. By default that is 1.2 s for a message,
# a tenth of the speed that Outlook's limits allow (docs/decisions/backlog.md).
STEP = 250
ABANDONED_LIMIT = 1000  # messages of a mailbox that one sweep takes up without a listing


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The number of mails that are not done, and the age of the oldest since Exchange's receipt or its earlier end.

    `failing`: mails among them that were tried in vain for more than a day.
    """

    mails: int
    oldest_seconds: float
    failing: int


class Backlog:
    """The claims of one database as the sweep sees them. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database, *, retry_seconds: float) -> None:
        """`retry_seconds`: the first distance between two attempts of a message."""
        self._database = database
        self._retry = retry_seconds

    # Returns the listed messages that are not on their way, and remembers them as enqueued. Unannounced are those that
    # no notification brought (the row is new) in the three minutes that Graph takes at most. Rows are taken in the
    # order of their ids: of two sweeps that list the same messages, the second one waits.
    ENQUEUE = """
    insert into ingest.claim as claim (mailbox, message_id, state, trigger, received_at, enqueued_at, deferrals,
        next_try_at)
    select %(mailbox)s, listed.message_id, 'waiting', 'sweep', listed.received_at, now(), 1,
        now() + %(retry)s * interval '1 second'
    from unnest(%(message_ids)s::text[], %(received)s::timestamptz[]) as listed (message_id, received_at)
    order by listed.message_id collate "C"
    on conflict (mailbox, message_id) do update set
        enqueued_at = now(), deferrals = claim.deferrals + 1,
        received_at = coalesce(excluded.received_at, claim.received_at),
        next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
    where (claim.lease_until is null or claim.lease_until < now())
        and (claim.next_try_at is null or claim.next_try_at <= now())
    returning message_id, xmax = 0 and received_at < now() - interval '3 minutes' as unannounced
    """

    def enqueue(self, mailbox: str, found: Sequence[ListedMessage], *, outstanding: int) -> list[MessageRef]:
        """Return those of `found` that are not on their way, in their order; they are remembered as enqueued now.

        `outstanding`: messages of the mailbox on the queue, these included. The distance to the next attempt
        grows with their number.
        """
        rows = self._database.all(
            "enqueue",
            self.ENQUEUE,
            mailbox=mailbox,
            message_ids=[item.ref.message_id for item in found],
            received=[item.received_at for item in found],
            **self._distance(outstanding),
        )
        unannounced = sum(row["unannounced"] for row in rows)
        if unannounced:
            log.info("sweep.unannounced", mailbox=mailbox, mails=unannounced)
        due = {row["message_id"] for row in rows}
        return [item.ref for item in found if item.ref.message_id in due]

    # Begun and not finished, because a process died or an attempt failed. No listing need show these messages: they may
    # have been moved or deleted before the answer was lost, or read by a person. A claim with an attempt is looked for
    # before the app reads or deletes the message.
    ABANDONED = """
    update ingest.claim as claim
    set enqueued_at = now(), deferrals = claim.deferrals + 1, attempts = greatest(claim.attempts, 1),
        next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
    where id in (
        select id from ingest.claim
        where mailbox = %(mailbox)s and state in ('waiting', 'processing', 'stored')
            and (lease_until is null or lease_until < now()) and (next_try_at is null or next_try_at <= now())
        order by next_try_at nulls first
        limit %(limit)s
        for update skip locked
    )
    returning message_id
    """

    def enqueue_abandoned(self, mailbox: str, *, outstanding: int) -> list[MessageRef]:
        """Return at most ABANDONED_LIMIT messages that were begun and not finished, remembered as enqueued now."""
        rows = self._database.all(
            "enqueue_abandoned", self.ABANDONED, mailbox=mailbox, limit=ABANDONED_LIMIT, **self._distance(outstanding)
        )
        if len(rows) == ABANDONED_LIMIT:
            log.warning("sweep.limit_reached", mailbox=mailbox, limit=ABANDONED_LIMIT)
        return [MessageRef(mailbox=mailbox, message_id=row["message_id"], trigger=Trigger.SWEEP) for row in rows]

    # In the order of their turns. A claim that was taken up meanwhile only leaves the line.
    GIVE_TURNS = """
    with given as (
        select claim_id, place from ingest.give_turns(%(mailbox)s, %(limit)s)
    ), locked as (
        select claim.id, given.place from given join ingest.claim on claim.id = given.claim_id
        where claim.state = 'waiting' and claim.lease_until is null
        order by claim.message_id for no key update of claim
    ), enqueued as (
        update ingest.claim as claim
        set enqueued_at = now(), waits_since = null, next_try_at = now() + %(retry)s * interval '1 second'
        from locked where claim.id = locked.id
        returning claim.message_id, locked.place
    )
    select message_id from enqueued order by place
    """

    def give_turns(self, mailbox: str, *, limit: int, outstanding: int) -> list[MessageRef]:
        """Return at most `limit` messages that waited for their turn, remembered as enqueued now.

        The oldest of each tenant come first, then the second of each.
        """
        distance = self._distance(outstanding)["retry"]
        rows = self._database.all("give_turns", self.GIVE_TURNS, mailbox=mailbox, limit=limit, retry=distance)
        return [MessageRef(mailbox=mailbox, message_id=row["message_id"], trigger=Trigger.SWEEP) for row in rows]

    # Also those that are being worked on, and those with an attempt that is due: all of these are on the queue.
    OUTSTANDING = """
    select count(*) as outstanding from ingest.claim
    where mailbox = %(mailbox)s and state in ('waiting', 'processing', 'stored') and enqueued_at is not null
    """

    def outstanding(self, mailbox: str) -> int:
        """Return the number of messages that the sweep has enqueued and that have not ended."""
        row = self._database.one("outstanding", self.OUTSTANDING, mailbox=mailbox)
        return int(row["outstanding"]) if row else 0

    # A mail that came back after its end waits since then at most.
    UNFINISHED = """
    select count(*) as mails,
        coalesce(
            extract(epoch from now() - min(greatest(coalesce(received_at, first_seen_at), ended_at))), 0
        )::float8 as oldest_seconds,
        count(*) filter (
            where last_error is not null and greatest(first_seen_at, ended_at) < now() - interval '1 day'
        ) as failing
    from ingest.claim where state in ('waiting', 'processing', 'stored')
    """

    def unfinished(self) -> Unfinished:
        """Return how many mails of all mailboxes are not done, and how long, by Postgres's clock."""
        row = self._database.one("unfinished", self.UNFINISHED)
        if row is None:
            return Unfinished(mails=0, oldest_seconds=0.0, failing=0)
        return Unfinished(
            mails=int(row["mails"]), oldest_seconds=max(0.0, float(row["oldest_seconds"])), failing=int(row["failing"])
        )

    # No sweep looks into these mailboxes.
    LEFT = """
    select mailbox, count(*) as mails from ingest.claim
    where state in ('waiting', 'processing', 'stored') and mailbox <> all (%(mailboxes)s)
    group by mailbox order by mailbox
    """

    def left(self, mailboxes: Sequence[str]) -> dict[str, int]:
        """Return how many mails are not done in each mailbox that is not one of `mailboxes`."""
        rows = self._database.all("left", self.LEFT, mailboxes=list(mailboxes))
        return {row["mailbox"]: int(row["mails"]) for row in rows}

    # No longer on the queue: the message does not count as outstanding while it waits. The attempt: as for ABANDONED.
    POISONED = """
    insert into ingest.claim as claim (mailbox, message_id, state, trigger, deferrals, attempts, next_try_at)
    values (%(mailbox)s, %(message_id)s, 'waiting', %(trigger)s, 1, 1, now() + %(retry)s * interval '1 second')
    on conflict (mailbox, message_id) do update set
        enqueued_at = null, attempts = greatest(claim.attempts, 1), deferrals = claim.deferrals + 1,
        next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
    where claim.state in ('waiting', 'processing', 'stored')
    """

    def note_poisoned(self, ref: MessageRef) -> None:
        """Record that the queue has given up on the message; the sweep brings it back after a growing distance."""
        self._database.none(
            "note_poisoned",
            self.POISONED,
            mailbox=ref.mailbox,
            message_id=ref.message_id,
            trigger=ref.trigger,
            **self._distance(outstanding=0),
        )

    def _distance(self, outstanding: int) -> dict[str, float]:
        first = self._retry * (1 + outstanding // STEP)
        return {"retry": first, "most": first * MAX_DISTANCE}
