"""Claims: the right of one owner at a time to work on a message.

Claims hold no tenant data and are visible to every instance. The statement CLAIM grants one; a fence, counted up with
each grant, keeps an earlier owner from writing any more (docs/decisions/claim.md).
"""

from __future__ import annotations

from typing import Any, LiteralString

from ingest.codes import Reason
from ingest.errors import DatabaseUnavailable, LeaseLost
from ingest.model.answer import Answer
from ingest.model.claim import Claim, ClaimInDoubt, ClaimState
from ingest.model.message_ref import MessageRef
from ingest.storage.answers import answer_parameters
from ingest.storage.database import Database, as_text


class Claims:
    """The claims of one database. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database, *, lease_seconds: float, retry_seconds: float) -> None:
        """Set a claim's life without renewal, and the time that the sweep leaves to the queue's own attempts."""
        self._database = database
        self._lease = lease_seconds
        self._retry = retry_seconds

    # Returns a row for a new message, a resumed one, one taken over from a dead owner, and one that is on record as
    # stored. Returns no row while another owner's lease lives. Returns none for a message of the sweep that has
    # ended since it was enqueued, nor for an announced one that waits for its tenant's turn: such a queue message is a
    # repetition and costs no request. Attempts are counted here: a process that is killed a moment later has counted
    # too. A message that has ended starts afresh: its earlier attempts bring it no nearer to Quarantine. Where its
    # sender was the reason, a person may have brought the message back, or a notification came late: `admit_sender` is
    # for the first of the two. A deleted message is unfinished again: a person may have brought it back, and read it,
    # so that no listing shows it.
    CLAIM = """
    with before as (
        select state, lease_until from ingest.claim where mailbox = %(mailbox)s and message_id = %(message_id)s
    )
    insert into ingest.claim as claim (mailbox, message_id, state, trigger, fence, attempts, lease_until)
    values (%(mailbox)s, %(message_id)s, 'processing', %(trigger)s, nextval('ingest.fence'), 1,
        now() + %(lease)s * interval '1 second')
    on conflict (mailbox, message_id) do update set
        state = case when claim.state in ('stored', 'deleted') then 'stored' else 'processing' end,
        fence = excluded.fence,
        lease_until = excluded.lease_until,
        attempts = case when claim.state in ('deleted', 'quarantined', 'gone') then 1 else claim.attempts + 1 end,
        lost_fences = case when claim.state in ('deleted', 'quarantined', 'gone') then '{}'
                      when claim.lease_until is not null then claim.lost_fences || claim.fence
                      else claim.lost_fences end,
        defects = case when claim.state in ('deleted', 'quarantined', 'gone') then 0 else claim.defects end,
        overruns = case when claim.state in ('deleted', 'quarantined', 'gone') then 0 else claim.overruns end,
        sender_released = claim.sender_released
            or claim.state = 'quarantined' and claim.reason is not distinct from 'sender_not_allowed',
        sender_admitted = claim.sender_admitted and claim.state not in ('deleted', 'quarantined', 'gone')
    where (claim.lease_until is null or claim.lease_until < now())
        and not (%(trigger)s = 'sweep' and claim.state in ('deleted', 'quarantined', 'gone')
            and coalesce(claim.ended_at > claim.enqueued_at, false))
        and not (%(trigger)s = 'webhook' and claim.state = 'waiting' and claim.waits_since is not null)
    returning id, fence, state, attempts, crashes, defects, overruns, reason, received_at,
        sender_released, sender_admitted,
        (select lease_until is not null from before) as taken_over,
        (select state in ('quarantined', 'gone') from before) as reopened
    """

    def claim(self, ref: MessageRef) -> Claim | None:
        """Return the right to work on a message; None while another owner's lease lives, and for a repetition.

        Raises ClaimInDoubt where the connection broke before Postgres confirmed the claim.
        """
        claim: Claim | None = None
        try:
            # Read the row before COMMIT: if the COMMIT's answer is lost, we still know which claim we may hold.
            with self._database.connection("claim") as connection, connection.transaction():
                row = connection.execute(
                    self.CLAIM,
                    {
                        "mailbox": ref.mailbox,
                        "message_id": ref.message_id,
                        "trigger": ref.trigger,
                        "lease": self._lease,
                    },
                ).fetchone()
                claim = self._claim(ref, row) if row is not None else None
        except DatabaseUnavailable as unavailable:
            if claim is None:
                raise
            raise ClaimInDoubt(str(unavailable), claim) from None
        return claim

    def _claim(self, ref: MessageRef, row: dict[str, Any]) -> Claim:
        return Claim(
            id=row["id"],
            ref=ref,
            fence=row["fence"],
            state=ClaimState(row["state"]),
            attempts=row["attempts"],
            crashes=row["crashes"],
            defects=row["defects"],
            overruns=row["overruns"],
            lease_seconds=self._lease,
            reason=Reason(row["reason"]) if row["reason"] else None,
            received_at=row["received_at"],
            reopened=bool(row["reopened"]),
            taken_over=bool(row["taken_over"]),
            sender_released=row["sender_released"],
            sender_admitted=row["sender_admitted"],
        )

    # The reason stays from here on: if this owner dies after the move to Quarantine, the next one knows the reason.
    RENEW = """
    update ingest.claim
    set lease_until = now() + %(lease)s * interval '1 second', reason = coalesce(%(reason)s, reason)
    where id = %(id)s and fence = %(fence)s
    returning id
    """

    # In one statement with the reason: an owner that dies after the move leaves the answer, too.
    RENEW_WITH_ANSWER = """
    with renewed as (
        update ingest.claim
        set lease_until = now() + %(lease)s * interval '1 second', reason = coalesce(%(reason)s, reason)
        where id = %(id)s and fence = %(fence)s
        returning id
    )
    select id, ingest.queue_answer(id, %(kinds)s, %(recipient)s, %(quoted)s) from renewed
    """

    def renew(self, claim: Claim, *, reason: Reason | None = None, answer: Answer | None = None) -> None:
        """Keep the claim for another lease; record the reason of an intended quarantine, and queue its answer.

        Raises LeaseLost.
        """
        if answer is None:
            self._write("renew", self.RENEW, claim, lease=self._lease, reason=reason)
            return
        given = answer_parameters(claim, answer)
        del given["claim"]
        self._write("renew", self.RENEW_WITH_ANSWER, claim, lease=self._lease, reason=reason, **given)

    ADMIT_SENDER = """
    update ingest.claim set sender_admitted = true
    where id = %(id)s and fence = %(fence)s and sender_released
    returning id
    """

    def admit_sender(self, claim: Claim) -> None:
        """Let in the sender of a message that came back from Quarantine to the inbox. Raises LeaseLost."""
        self._write("admit_sender", self.ADMIT_SENDER, claim)

    # A sender is let in for one stay of the message in the inbox.
    END = """
    update ingest.claim
    set state = %(state)s, reason = %(reason)s, lease_until = null, sender_released = false, sender_admitted = false,
        next_try_at = null, deferrals = 0,
        last_error = null, waits_since = null, ended_at = now()
    where id = %(id)s and fence = %(fence)s
    returning id
    """

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        """Record where the message ended: DELETED, QUARANTINED with its reason, or GONE. Raises LeaseLost."""
        self._write("end", self.END, claim, state=state, reason=reason)

    def put_off(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, because of trouble that counts against no mail.

        Raises LeaseLost where another owner has the claim; that this owner is alive is recorded all the same.
        """
        self._give_back("put_off", claim, error)

    def count_defect(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, and count a defect of our own. Raises LeaseLost as `put_off` does."""
        self._give_back("count_defect", claim, error, defects=1)

    def count_overrun(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, and count an attempt that took all of a message's time. Raises LeaseLost."""
        self._give_back("count_overrun", claim, error, overruns=1)

    # Gives back once: a caller that lost the answer may ask again, and no defect is counted twice. The queue retries
    # by itself for a while; the sweep leaves the message alone for that time.
    GIVE_BACK = """
    update ingest.claim
    set state = case when state = 'processing' then 'waiting' else state end,
        lease_until = null, last_error = %(error)s, defects = defects + %(defects)s,
        overruns = overruns + %(overruns)s,
        next_try_at = now() + %(retry)s * interval '1 second'
    where id = %(id)s and fence = %(fence)s and lease_until is not null
    returning id
    """

    # The owner is alive: its lease only expired. Its fence leaves the list of lost ones.
    SURVIVED = """
    update ingest.claim set lost_fences = array_remove(lost_fences, %(fence)s)
    where id = %(id)s and %(fence)s = any(lost_fences)
    """

    def _give_back(self, name: str, claim: Claim, error: str, *, defects: int = 0, overruns: int = 0) -> None:
        ours = {"id": claim.id, "fence": claim.fence}
        with self._database.connection(name) as connection:
            counts = {"defects": defects, "overruns": overruns}
            parameters = {**ours, **counts, "error": as_text(error), "retry": self._retry}
            given_back = connection.execute(self.GIVE_BACK, parameters).fetchone()
            if given_back is None:
                connection.execute(self.SURVIVED, ours)
        if given_back is None:
            raise LeaseLost(f"the message was taken over before '{name}'")

    def _write(self, name: str, statement: LiteralString, claim: Claim, **parameters: object) -> None:
        if self._database.one(name, statement, id=claim.id, fence=claim.fence, **parameters) is None:
            raise LeaseLost(f"the message was taken over before '{name}'")
