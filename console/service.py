"""The work behind the pages, as the pages see it. `console.live_service` does it; tests put a fake in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, Self
from uuid import UUID

from ingest.errors import OperatorError
from operations.audit import AuditEntry
from operations.mails.history import MailRecord, PartRecord
from operations.mails.search import FoundMail
from operations.mails.tenant_history import TenantMail
from operations.status import Status
from operations.tenants.senders import Decision, HeldMail, Sender, SenderList, SenderMode


class Action(StrEnum):
    """An operator's action on mails in Quarantine."""

    RELEASE = "release"
    ASSIGN = "assign"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedMail:
    """A mail in Quarantine. `key` names it in a form; `number` is None for a mail without a claim."""

    key: str
    number: int | None
    mailbox: str
    reason: str
    received_at: datetime
    sender: str = field(repr=False)
    subject: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantChoice:
    """A tenant that mails can be assigned to."""

    id: int | UUID
    name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """The way back from an action: the action and the keys of the mails, as text in a form."""

    action: Action
    keys: tuple[str, ...]

    def to_text(self) -> str:
        """Return the text of a form."""
        return " ".join([self.action.value, *self.keys])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the text of a form. Raise OperatorError for any other text."""
        action, *keys = text.split() or [""]
        if action not in {Action.RELEASE, Action.DELETE}:
            raise OperatorError("There is nothing to take back.")
        return cls(action=Action(action), keys=tuple(keys))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Mails done, the trouble of the others and the warnings of those done, in words, and the way back if any.

    After an `undo`, the way back is for the mails that are left.
    """

    done: int
    trouble: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    undo: Undo | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformState:
    """The state of subscriptions and queues now; None where Graph or the queues can't be asked.

    `subscribed_until`: the first end of a subscription; `subscriptions`: their number.
    """

    subscriptions: int | None = None
    subscribed_until: datetime | None = None
    queued: int | None = None
    poisoned: int | None = None


class Overview(Protocol):
    """The lists over all mails and actions. Every call may raise OperatorError."""

    def status(self) -> Status:
        """Return the figures of cards and plots."""

    def platform_state(self) -> PlatformState:
        """Return the state of subscriptions and queues."""

    def search(self, text: str, *, limit: int) -> Sequence[FoundMail]:
        """Return the newest mails that the text describes."""

    def tenants(self, text: str) -> Sequence[TenantChoice]:
        """Return at most 20 tenants with the text in their name, or with the text as their number."""

    def audit(self, *, limit: int) -> Sequence[AuditEntry]:
        """Return the newest entries."""


class Contents(Protocol):
    """The content of blobs."""

    def read(self, container: str, name: str) -> Iterator[bytes]:
        """Return a blob's content in blocks."""


class MailHistories(Contents, Protocol):
    """One mail with all that is on record, and the content of its parts. Every call may raise OperatorError."""

    def mail(self, number: int) -> MailRecord | None:
        """Return a mail with its copies and rejections."""

    def parts(self, copy: int) -> Sequence[PartRecord]:
        """Return the parts of a copy."""

    def note_look(self, who: str, number: int, what: str) -> None:
        """Record that a person looks at content."""


class TenantHistories(Protocol):
    """The mails of one tenant, for that tenant."""

    def tenant_history(self, tenant: str, text: str, *, limit: int) -> Sequence[TenantMail]:
        """Return the newest mails of one tenant, by the text of its id, that the text describes."""


class TenantChoices(Protocol):
    """The tenants that a form may mean."""

    def tenant(self, text: str) -> TenantChoice | None:
        """Return the one tenant that is meant; None where none or several match."""


class QuarantineWork(TenantChoices, Protocol):
    """The work on Quarantine. Every call may raise OperatorError and Later."""

    def quarantined(self, *, limit: int) -> Sequence[QuarantinedMail]:
        """Return the mails in Quarantine, oldest first."""

    def act(self, action: Action, keys: Sequence[str], *, tenant: TenantChoice | None, why: str, by: str) -> Result:
        """Do the action for each mail, and record it."""

    def undo(self, undo: Undo, *, by: str) -> Result:
        """Take an action back for each mail, and record each."""


class SenderWork(TenantChoices, Protocol):
    """The waiting room, and the lists of allowed senders. Every call may raise OperatorError."""

    def held(self, *, limit: int) -> Sequence[HeldMail]:
        """Return the mails that wait for an approval, oldest first."""

    def decide(self, decision: Decision, keys: Sequence[str], *, why: str, by: str) -> Result:
        """Decide on each mail that waits, and record it. A key is `tenant|copy`."""

    def senders(self, tenant: TenantChoice, *, limit: int) -> tuple[Sequence[SenderList], Sequence[Sender]]:
        """Return the tenant's lists of allowed senders, and at most `limit` entries."""

    def allow_senders(self, tenant: TenantChoice, entries: Sequence[str], *, purpose: str, why: str, by: str) -> int:
        """Put entries on a list, record it, and return how many are new."""

    def remove_senders(self, tenant: TenantChoice, keys: Sequence[str], *, why: str, by: str) -> int:
        """Take entries off their lists, record it, and return how many were there. A key is `purpose|entry`."""

    def set_sender_mode(
        self, tenant: TenantChoice, mode: SenderMode | None, *, purpose: str, why: str, by: str
    ) -> None:
        """Set the mode of a list, and record it. None takes a purpose's own list out of use."""


class Service(Overview, MailHistories, TenantHistories, QuarantineWork, SenderWork, Protocol):
    """All that the pages need."""
