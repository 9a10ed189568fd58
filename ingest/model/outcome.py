"""The outcomes of one attempt to ingest a message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ingest.codes import Reason
from ingest.model.message import OriginalForm
from ingest.model.tenant import Tenant


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """The message is in the tenants' storage and out of the mailbox.

    `received_at`: by Exchange. `tenants`: who got a copy. Both are for the log. `form`: the form that Graph gave.
    """

    documents: int
    received_at: datetime | None = field(default=None, compare=False)
    tenants: tuple[Tenant, ...] = field(default=(), compare=False)
    form: OriginalForm = field(default=OriginalForm.MIME, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanedUp:
    """The message had been stored before, and has left the inbox."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """The message is in the Quarantine folder, with its reason on it."""

    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Busy:
    """Another live owner works on the message, or the queue's message is a repetition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """The message waits for its turn in the inbox: its tenants have had their budget of the hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """The message is not in the inbox any more: an Outlook user or another program deleted or moved it."""


type Outcome = Stored | CleanedUp | Quarantined | Busy | Waits | Gone
