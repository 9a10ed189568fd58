"""Postgres's record of messages, in this process. Time passes only when a test says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, zip_longest
from typing import NoReturn

from ingest.codes import HeldReason, PassedOver, Reason
from ingest.errors import DatabaseUnavailable, LeaseLost
from ingest.model.answer import Answer
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.copy import SavedCopy
from ingest.model.message import UNKNOWN_SENDER, Authentication, ListedMessage, Message, OriginalForm
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.part import Part
from ingest.model.tenant import Tenant, TokenMatch
from tests.fakes.journal import Journal

# As in ingest.storage.backlog; the contract test holds both to the same distances.
MAX_DISTANCE = 12
MOST_SECONDS = 86_400  # as in ingest.storage.turns
STEP = 250
_RESTARTED = {ClaimState.QUARANTINED, ClaimState.GONE}
_ENDED = {ClaimState.DELETED, ClaimState.QUARANTINED, ClaimState.GONE}
_UNFINISHED = {ClaimState.WAITING, ClaimState.PROCESSING, ClaimState.STORED}


@dataclass(kw_only=True)
class Row:
    """A row of ingest.claim."""

    id: int
    state: ClaimState
    fence: int = 0
    attempts: int = 0
    lost_fences: list[int] = field(default_factory=list)
    defects: int = 0
    overruns: int = 0
    deferrals: int = 0
    copies: int = 0
    reason: Reason | None = None
    lease_until: float | None = None
    next_try_at: float | None = None
    last_error: str | None = None
    received_at: datetime | None = None
    # Places in the order of what happened: time passes only when a test says so.
    enqueued: int | None = None
    waits: bool = False
    sender_released: bool = False
    sender_admitted: bool = False
    ended: int = 0

    @property
    def crashes(self) -> int:
        return len(self.lost_fences)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A tenant's copy of a message."""

    message: Message
    original: StoredBlob
    parts: tuple[Part, ...]


@dataclass(kw_only=True)
class FakeRecords:
    """`Claims`, `Tenants`, `Copies` and `Backlog` at once. `tenants`: by token, with whether they are active."""

    tenants: Mapping[str, tuple[Tenant, bool]] = field(default_factory=dict)
    over_budget: set[Tenant] = field(default_factory=set)
    refusing: set[Tenant] = field(default_factory=set)  # of any sender but the allowed ones, in quarantine mode
    holding: set[Tenant] = field(default_factory=set)  # likewise, in hold mode
    allowed: set[str] = field(default_factory=set)
    turns: dict[tuple[str, str], Tenant] = field(default_factory=dict)
    lines: dict[str, str | None] = field(default_factory=dict)  # the senders of the mails that wait
    passed_over: dict[tuple[str, str], dict[str, PassedOver]] = field(default_factory=dict)
    old_addresses: Mapping[str, tuple[Tenant, bool]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    lease_seconds: float = 600
    retry_seconds: float = 300
    journal: Journal = field(default_factory=Journal)
    now: float = 0.0
    down: bool = False
    saved: dict[tuple[Tenant, str, str], Saved] = field(default_factory=dict)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    rejected: dict[tuple[int, Tenant | None, Reason], Message] = field(default_factory=dict)
    _tenant: Tenant | None = None
    _order: Iterator[int] = field(default_factory=lambda: count(1))

    # What a test does and looks at

    def row(self, ref: MessageRef) -> Row:
        return self.rows[ref.mailbox, ref.message_id]

    def crash(self, ref: MessageRef) -> None:
        """The owner dies, and its lease runs out."""
        self.row(ref).lease_until = self.now - 1

    def steal(self, ref: MessageRef) -> None:
        """Let another process take the message over, as after a lease that ran out."""
        self.row(ref).fence += 1
        self.row(ref).lease_until = self.now + self.lease_seconds

    # Claims

    def claim(self, ref: MessageRef) -> Claim | None:
        self._step("claim")
        key = (ref.mailbox, ref.message_id)
        row = self.rows.get(key) or self._new(key, ClaimState.PROCESSING)
        if self._owned(row) or (ref.trigger is Trigger.SWEEP and _is_repetition(row)):
            return None
        if ref.trigger is Trigger.WEBHOOK and row.waits and row.state is ClaimState.WAITING:
            return None
        taken_over = row.lease_until is not None
        restarted = row.state in _RESTARTED
        row.attempts = 1 if row.state in _ENDED else row.attempts + 1
        if row.state is ClaimState.QUARANTINED and row.reason is Reason.SENDER_NOT_ALLOWED:
            row.sender_released = True
        if row.state in _ENDED:
            row.lost_fences, row.defects, row.overruns = [], 0, 0
        elif taken_over:
            row.lost_fences.append(row.fence)
        row.fence += 1
        row.lease_until = self.now + self.lease_seconds
        stored = row.state in {ClaimState.STORED, ClaimState.DELETED}
        row.state = ClaimState.STORED if stored else ClaimState.PROCESSING
        return Claim(
            id=row.id,
            ref=ref,
            fence=row.fence,
            state=row.state,
            attempts=row.attempts,
            crashes=row.crashes,
            defects=row.defects,
            overruns=row.overruns,
            lease_seconds=self.lease_seconds,
            reason=row.reason,
            received_at=row.received_at,
            reopened=restarted,
            taken_over=taken_over,
            sender_released=row.sender_released,
            sender_admitted=row.sender_admitted,
        )

    def renew(self, claim: Claim, *, reason: Reason | None = None, answer: Answer | None = None) -> None:
        self._step("renew")
        row = self._own(claim)
        row.lease_until = self.now + self.lease_seconds
        row.reason = reason or row.reason
        if answer is not None:
            self.answers[claim.ref.message_id] = answer

    def admit_sender(self, claim: Claim) -> None:
        self._step("admit_sender")
        row = self._own(claim)
        if not row.sender_released:
            raise LeaseLost("not released")
        row.sender_admitted = True

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        self._step(f"end.{state}")
        row = self._own(claim)
        row.state, row.reason, row.lease_until, row.next_try_at = state, reason, None, None
        row.deferrals, row.last_error, row.ended, row.waits = 0, None, next(self._order), False
        row.sender_released = row.sender_admitted = False

    def put_off(self, claim: Claim, error: str) -> None:
        self._step("put_off")
        self._give_back(claim, error)

    def count_defect(self, claim: Claim, error: str) -> None:
        self._step("count_defect")
        self._give_back(claim, error).defects += 1

    def count_overrun(self, claim: Claim, error: str) -> None:
        self._step("count_overrun")
        self._give_back(claim, error).overruns += 1

    def _give_back(self, claim: Claim, error: str) -> Row:
        try:
            row = self._own(claim)
        except LeaseLost:
            survived = next(row for row in self.rows.values() if row.id == claim.id)
            survived.lost_fences = [fence for fence in survived.lost_fences if fence != claim.fence]
            raise
        if row.state is ClaimState.PROCESSING:
            row.state = ClaimState.WAITING
        row.lease_until, row.last_error = None, error
        row.next_try_at = self.now + self.retry_seconds
        return row

    def note_poisoned(self, ref: MessageRef) -> None:
        self._step("note_poisoned")
        key = (ref.mailbox, ref.message_id)
        row = self.rows.get(key) or self._new(key, ClaimState.WAITING)
        if row.state in _UNFINISHED:
            self._defer(row)
            row.enqueued, row.attempts = None, max(row.attempts, 1)

    def resolve_tokens(self, tokens: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        self._step("resolve_tokens")
        return [
            self._match(position, *self.tenants[token], sender)
            for position, token in enumerate(tokens, start=1)
            if token in self.tenants
        ]

    def resolve_addresses(self, addresses: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        self._step("resolve_addresses")
        return [
            self._match(position, *self.old_addresses[address], sender)
            for position, address in enumerate(map(str.lower, addresses), start=1)
            if address in self.old_addresses
        ]

    def note_passed_over(self, claim: Claim, passed_over: Mapping[str, PassedOver]) -> None:
        self._step("note_passed_over")
        self.passed_over[claim.ref.mailbox, claim.ref.message_id] = dict(passed_over)

    @contextmanager
    def tenant_context(self, tenant: Tenant) -> Iterator[None]:
        if self._tenant is not None:
            raise RuntimeError("tenant_context can't be nested")
        self._tenant = tenant
        try:
            yield
        finally:
            self._tenant = None

    def save(
        self,
        claim: Claim,
        message: Message,
        original: StoredBlob,
        parts: Sequence[Part],
        *,
        last: bool,
        answer: Answer | None = None,
    ) -> SavedCopy:
        self._step("save")
        if self._tenant is None:
            raise RuntimeError("outside of tenant_context")
        key = (self._tenant, claim.ref.mailbox, claim.ref.message_id)
        row, linked, before = self._own(claim), False, key in self.saved
        if not before:
            first = self._first_of(key, message, original.sha256)
            linked = first is not None and message.form is OriginalForm.MIME
            self.saved[key] = (
                Saved(message=message, original=first.original, parts=())
                if first is not None and linked
                else Saved(message=message, original=original, parts=tuple(parts))
            )
            row.copies += 1
            if answer is not None and first is None:
                self.answers[claim.ref.message_id] = answer
        if last:
            row.state = ClaimState.STORED
        row.lease_until = self.now + self.lease_seconds
        row.reason = None
        listed = self._tenant in self.holding | self.refusing and not row.sender_admitted
        held = listed and not linked and not self._lets_in(message.authentication)
        return SavedCopy(new=not (before or linked), linked=linked, held=HeldReason.SENDER_UNKNOWN if held else None)

    # Turns

    def wait(self, claim: Claim, *, sender: str | None) -> None:
        self._step("wait")
        if self._tenant is None:
            raise RuntimeError("outside of tenant_context")
        row = self._own(claim)
        row.state, row.lease_until, row.enqueued, row.waits = ClaimState.WAITING, None, None, True
        row.next_try_at = self.now + MOST_SECONDS
        self.turns.setdefault((claim.ref.mailbox, claim.ref.message_id), self._tenant)
        self.lines[claim.ref.message_id] = sender

    def link(self, claim: Claim, message: Message, sha256: str, *, last: bool) -> bool:
        self._step("link")
        if self._tenant is None:
            raise RuntimeError("outside of tenant_context")
        key = (self._tenant, claim.ref.mailbox, claim.ref.message_id)
        if key in self.saved or (first := self._first_of(key, message, sha256)) is None:
            return False
        self.save(claim, message, first.original, (), last=last)
        return True

    def recorded_blobs(self, claim: Claim) -> Sequence[StoredBlob]:
        self._step("recorded_blobs")
        if self._tenant is None:
            raise RuntimeError("outside of tenant_context")
        copy = self.saved[self._tenant, claim.ref.mailbox, claim.ref.message_id]
        key = (self._tenant, claim.ref.mailbox, claim.ref.message_id)
        first = copy if copy.parts else self._first_of(key, copy.message, copy.original.sha256) or copy
        return self.blobs_of(first)

    @staticmethod
    def blobs_of(copy: Saved) -> list[StoredBlob]:
        """The blobs that a copy names, each once."""
        return list(dict.fromkeys([copy.original, *(part.blob for part in copy.parts if part.blob is not None)]))

    def _first_of(self, key: tuple[Tenant, str, str], message: Message, sha256: str) -> Saved | None:
        """The copy of the same mail that the tenant has under another claim."""
        wanted = (message.internet_message_id, sha256)
        if message.internet_message_id is None:
            return None
        for (tenant, *other), saved in self.saved.items():
            same = (saved.message.internet_message_id, saved.original.sha256) == wanted
            if tenant == key[0] and same and tuple(other) != key[1:]:
                return saved
        return None

    # Rejections

    def reject(self, claim: Claim, reason: Reason, message: Message) -> None:
        if self._tenant is None:
            raise RuntimeError("outside of tenant_context")
        self._reject(self._tenant, claim, reason, message)

    def reject_unattributed(self, claim: Claim, reason: Reason, message: Message) -> None:
        self._reject(None, claim, reason, message)

    def _reject(self, tenant: Tenant | None, claim: Claim, reason: Reason, message: Message) -> None:
        self._step("reject")
        row = self.rows[claim.ref.mailbox, claim.ref.message_id]
        if row.fence == claim.fence:
            self.rejected.setdefault((claim.id, tenant, reason), message)

    # Backlog

    def enqueue(self, mailbox: str, found: Sequence[ListedMessage], *, outstanding: int) -> list[MessageRef]:
        self._step("enqueue")
        due = []
        for item in found:
            key = (mailbox, item.ref.message_id)
            row = self.rows.get(key) or self._new(key, ClaimState.WAITING)
            if not self._owned(row) and (row.next_try_at is None or row.next_try_at <= self.now):
                self._defer(row, outstanding)
                row.received_at = item.received_at
                due.append(item.ref)
        return due

    def enqueue_abandoned(self, mailbox: str, *, outstanding: int) -> list[MessageRef]:
        self._step("enqueue_abandoned")
        due = []
        for (of, message_id), row in self.rows.items():
            rested = row.next_try_at is None or row.next_try_at <= self.now
            if of == mailbox and row.state in _UNFINISHED and rested and not self._owned(row):
                self._defer(row, outstanding)
                row.attempts = max(row.attempts, 1)
                due.append(MessageRef(mailbox=mailbox, message_id=message_id, trigger=Trigger.SWEEP))
        return due

    def give_turns(self, mailbox: str, *, limit: int, outstanding: int) -> list[MessageRef]:
        self._step("give_turns")
        lines: dict[Tenant, list[tuple[str, str]]] = {}
        for key, tenant in self.turns.items():
            if key[0] == mailbox:
                lines.setdefault(tenant, []).append(key)
        in_turns = [key for of_each in zip_longest(*lines.values()) for key in of_each if key is not None][:limit]
        for key in in_turns:
            del self.turns[key]
        given = [
            key for key in in_turns if self.rows[key].state is ClaimState.WAITING and not self._owned(self.rows[key])
        ]
        for key in given:
            row = self.rows[key]
            row.waits, row.deferrals = False, 0
            self._defer(row, outstanding)
        return [MessageRef(mailbox=mailbox, message_id=message_id, trigger=Trigger.SWEEP) for _, message_id in given]

    def outstanding(self, mailbox: str) -> int:
        self._step("outstanding")
        return sum(
            of == mailbox and row.state in _UNFINISHED and row.enqueued is not None
            for (of, _), row in self.rows.items()
        )

    def _match(
        self,
        position: int,
        tenant: Tenant,
        active: bool,  # noqa: FBT001 - unpacked
        sender: Authentication,
    ) -> TokenMatch:
        return TokenMatch(
            position=position,
            tenant=tenant,
            active=active,
            over_budget=tenant in self.over_budget,
            refused=tenant in self.refusing and not self._lets_in(sender),
        )

    def _lets_in(self, sender: Authentication) -> bool:
        return sender.sender_proven and sender.sender_address in self.allowed

    def _step(self, name: str) -> None:
        if self.down:
            self._refuse(name)
        self.journal.step(name)

    def _refuse(self, name: str) -> NoReturn:
        self.journal.steps.append(f"{name} (down)")
        raise DatabaseUnavailable(f"sql {name}: OperationalError")

    def _new(self, key: tuple[str, str], state: ClaimState) -> Row:
        return self.rows.setdefault(key, Row(id=len(self.rows) + 1, state=state))

    def _owned(self, row: Row) -> bool:
        return row.lease_until is not None and row.lease_until >= self.now

    def _own(self, claim: Claim) -> Row:
        row = self.rows[claim.ref.mailbox, claim.ref.message_id]
        if row.fence != claim.fence:
            raise LeaseLost("the message was taken over")
        return row

    def _defer(self, row: Row, outstanding: int = 0) -> None:
        first = self.retry_seconds * (1 + outstanding // STEP)
        row.next_try_at = self.now + min(first * 2 ** min(row.deferrals, 20), first * MAX_DISTANCE)
        row.deferrals += 1
        row.enqueued = next(self._order)


def _is_repetition(row: Row) -> bool:
    """Return whether the message has ended since it was enqueued."""
    return row.state in _ENDED and row.enqueued is not None and row.enqueued < row.ended
