"""A message as Graph has it: metadata, attachments, and the verdicts on its sender."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ingest.codes import Reason
from ingest.model.answer import AnswerTarget
from ingest.model.message_ref import MessageRef


class AttachmentKind(StrEnum):
    """Graph's three attachment types, and UNKNOWN for one that Graph adds later."""

    FILE = "fileAttachment"
    ITEM = "itemAttachment"
    REFERENCE = "referenceAttachment"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """An attachment as Graph lists it. `size` is Exchange's estimate in bytes, never the exact count."""

    id: str
    kind: AttachmentKind
    name: str
    content_type: str | None
    content_id: str | None = None
    size: int = 0


class Scope(StrEnum):
    """The part of a mailbox in which a call looks for a message."""

    INBOX = "inbox"
    MAILBOX = "mailbox"


class OriginalForm(StrEnum):
    """The form in which a mail's original is kept: MIME, or Graph's message where Exchange gives no MIME."""

    MIME = "mime"
    GRAPH_JSON = "graph_json"

    @property
    def extension(self) -> str:
        """The extension of a file of this form, without a dot."""
        return "json" if self is OriginalForm.GRAPH_JSON else "eml"

    @property
    def media_type(self) -> str:
        """The media type of a file of this form."""
        return "application/json" if self is OriginalForm.GRAPH_JSON else "message/rfc822"


@dataclass(frozen=True, kw_only=True, slots=True)
class Authentication:
    """The receiving service's verdicts on the sender, each a word such as `pass`; None where it gave none.

    `compauth`: Microsoft's verdict over all, with the number of its reason. `sender_authenticated`: DMARC passed for
    the domain of the one address in From; `sender_proven`: DMARC or compauth passed. `sender_address`: that address as
    lists of senders have it, proven or not; None where From holds no address, several or a group.
    """

    dmarc: str | None = None
    spf: str | None = None
    dkim: str | None = None
    arc: str | None = None
    compauth: str | None = None
    compauth_reason: str | None = None
    sender_authenticated: bool = False
    sender_proven: bool = False
    sender_address: str | None = field(default=None, repr=False)


UNKNOWN_SENDER = Authentication()


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message's metadata, from the headers of its original. `form`: the form in which the original is kept.

    `redirected_to`: the addresses that a redirect or a forward wrote into other headers than To and Cc.
    `receipt_requested`: the sender asked for a receipt when the message is read. `answer_target`: None where the
    sender gets no answer.
    """

    ref: MessageRef
    internet_message_id: str | None
    subject: str = field(repr=False)
    sender: str = field(repr=False)
    to: tuple[str, ...] = field(repr=False)
    cc: tuple[str, ...] = field(repr=False)
    redirected_to: tuple[str, ...] = field(default=(), repr=False)
    receipt_requested: bool = False
    received_at: datetime
    form: OriginalForm = OriginalForm.MIME
    authentication: Authentication = field(default_factory=Authentication)
    answer_target: AnswerTarget | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedMessage:
    """A message in a listing of the inbox. `received_at` is None where the listing gave no time that can be read."""

    ref: MessageRef
    received_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedMail:
    """A mail in the Quarantine folder. `reason` is None for a mail that an Outlook user put there by hand."""

    ref: MessageRef
    received_at: datetime
    sender: str = field(repr=False)
    subject: str = field(repr=False)
    reason: Reason | None
