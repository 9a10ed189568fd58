"""The values that travel between modules: frozen, keyword-only, no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID

from ingest.codes import ActiveContent, AnswerKind, Disposition, Reason, Rule, Verdict
from ingest.errors import DatabaseUnavailable, MalformedRef

# Graph message ids are URL-safe base64 of about 150 characters; nothing near this has been seen.
MAX_ID_LENGTH = 1024
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ID = re.compile(rf"[!-~]{{1,{MAX_ID_LENGTH}}}")


def is_id(value: object) -> TypeGuard[str]:
    """Return whether the value can be an id of Graph's: visible ASCII, which a queue, Postgres and a URL take too."""
    # A dot or two would be a step in a URL's path, escaped or not.
    return isinstance(value, str) and value not in {".", ".."} and _ID.fullmatch(value) is not None


class Trigger(StrEnum):
    """The cause that put a message on the queue."""

    WEBHOOK = "webhook"
    SWEEP = "sweep"
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """The moment in which a message was put on the queue, and the trace that began there.

    `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header
    """

    traceparent: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageRef:
    """A message's address, which travels through the queue `ingest-messages`.

    `message_id` is Graph's immutable id: case-sensitive, stable across folder moves within the mailbox. `announced` is
    for telemetry, and no part of the address.
    """

    mailbox: str
    message_id: str
    trigger: Trigger = Trigger.WEBHOOK
    announced: Announcement | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """Return the queue message's text. No key is named `Id`, which would shadow Functions' binding data."""
        value = {"mailbox": self.mailbox, "messageId": self.message_id, "trigger": str(self.trigger)}
        if self.announced is not None:
            value["traceparent"] = self.announced.traceparent
            value["announcedAt"] = self.announced.at.isoformat()
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MessageRef:
        """Read the text that `to_json` wrote. Raises MalformedRef, which says what is wrong and quotes nothing."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise MalformedRef("the queue message is not JSON") from None
        if not isinstance(value, dict):
            raise MalformedRef("the queue message is not a JSON object")
        mailbox, message_id = value.get("mailbox"), value.get("messageId")
        if not isinstance(mailbox, str) or not mailbox or not mailbox.isprintable():
            raise MalformedRef("the queue message has no 'mailbox'")
        if not is_id(message_id):
            raise MalformedRef(f"the queue message has no 'messageId' of 1 to {MAX_ID_LENGTH} ASCII characters")
        try:
            trigger = Trigger(value.get("trigger", Trigger.WEBHOOK))
        except ValueError:
            raise MalformedRef(f"'trigger' is none of {', '.join(Trigger)}") from None
        return cls(mailbox=mailbox, message_id=message_id, trigger=trigger, announced=_announcement(value))

    @property
    def key(self) -> str:
        """Return 32 hex digits that stand for this message in blob names, equal in every instance and attempt."""
        return hashlib.sha256(f"{self.mailbox.casefold()}\n{self.message_id}".encode()).hexdigest()[:32]


def _announcement(value: dict[str, object]) -> Announcement | None:
    """Read the context of a trace. One that makes no sense is none: telemetry stops no mail."""
    traceparent, at = value.get("traceparent"), value.get("announcedAt")
    if not isinstance(traceparent, str) or not isinstance(at, str) or not _TRACEPARENT.fullmatch(traceparent):
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return Announcement(traceparent=traceparent, at=moment) if moment.tzinfo is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOver:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The number of mails that are not done, and the age of the oldest since Exchange's receipt.

    `failing`: mails among them that were tried in vain for more than a day.
    """

    mails: int
    oldest_seconds: float
    failing: int


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
class Reply:
    """A mail's sender, where an answer may go to them, and what the answer quotes. All of it is fit for a header.

    `message_id` and `references` are the mail's, the former None where it has none. `language`: `de` or `en`.
    """

    recipient: str = field(repr=False)
    message_id: str | None
    references: tuple[str, ...]
    subject: str = field(repr=False)
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer that a mail may get: the first of `kinds` that its tenant wants.

    `documents`: names of the documents that were taken. `refused`: names of parts that were not, each with its rule.
    """

    reply: Reply
    kinds: tuple[AnswerKind, ...]
    documents: tuple[str, ...] = field(default=(), repr=False)
    refused: tuple[tuple[str, Rule], ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message's metadata, from the headers of its original. `form`: the form in which the original is kept.

    `redirected_to`: the addresses that a redirect or a forward wrote into other headers than To and Cc.
    `receipt_requested`: the sender asked for a receipt when the message is read. `reply`: None where the sender gets no
    answer.
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
    reply: Reply | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """A tenant of the DMS. `id` has the type of `dms_tenant.id` in the database at hand.

    `proof`: the token, or old address, of the mail that led to the tenant. Postgres opens the tenant's context against
    this proof; None where an operator assigned the mail. `purpose`: of the upload address with this token, such as
    `incoming`; None for most addresses.
    """

    id: int | UUID
    proof: str | None = field(default=None, repr=False, compare=False)
    purpose: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenMatch:
    """A token that belongs to a tenant: `position` is its index in the candidates that were asked for.

    `refused`: the list of allowed senders sends this sender's mail to Quarantine.
    """

    position: int
    tenant: Tenant
    active: bool
    over_budget: bool = False
    refused: bool = False


class ClaimState(StrEnum):
    """The state of a message, in `ingest.claim.state`."""

    WAITING = "waiting"
    PROCESSING = "processing"
    STORED = "stored"
    DELETED = "deleted"
    QUARANTINED = "quarantined"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to work on one message until the lease ends, proved by `fence` in every later statement.

    `state` is PROCESSING for a message to ingest, STORED or DELETED where an earlier owner has recorded its copies.
    `reason` is set where an earlier owner had already decided to quarantine and may have died on the way.
    `received_at`: the message's time in a listing of the inbox. `reopened`: the message was quarantined or gone before.
    `sender_admitted`: a person brought the message back from Quarantine, where its sender was the reason.
    """

    id: int
    ref: MessageRef
    fence: int
    state: ClaimState
    attempts: int
    crashes: int
    defects: int
    overruns: int
    lease_seconds: float
    reason: Reason | None = None
    received_at: datetime | None = None
    reopened: bool = False
    taken_over: bool = False
    sender_admitted: bool = False

    @property
    def may_have_left(self) -> bool:
        """Return whether the message may lie outside of the inbox by now: an earlier owner has worked on it."""
        return self.reopened or self.attempts > 1 or self.stored_before

    @property
    def stored_before(self) -> bool:
        """Return whether an earlier owner has recorded the message as stored."""
        return self.state in {ClaimState.STORED, ClaimState.DELETED}


class ClaimInDoubt(DatabaseUnavailable):
    """Postgres has granted `claim`, unless the connection broke before it was committed."""

    def __init__(self, message: str, claim: Claim) -> None:
        super().__init__(message)
        self.claim = claim


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBlob:
    """A blob with its verified length in bytes and its SHA-256 in hex."""

    container: str
    name: str
    size: int
    sha256: str


# The version of the rules, on each mail's record. It rises with every change that would sort some mail differently.
RULES_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of unpacking the containers in one mail.

    `depth`: containers in each other, the outermost one counted. `parts`: inside of containers, in the whole mail.
    `expanded_bytes`: what they may expand to, in the whole mail. `ratio`: how many times its own size a
    container may expand to. `processor_seconds` and `wall_seconds`: for taking the mail apart, transfers not counted.
    """

    depth: int = 8
    parts: int = 1000
    expanded_bytes: int = 256 * 1024 * 1024
    ratio: float = 200.0
    processor_seconds: float = 4.0
    wall_seconds: float = 120.0


class BodyMode(StrEnum):
    """The choice whether a mail's body is stored as a document of its own."""

    NEVER = "never"
    ALWAYS = "always"


class InvoiceKind(StrEnum):
    """The syntax of an e-invoice, and whether it came as XML or inside a PDF."""

    UBL_INVOICE = "ubl_invoice"
    UBL_CREDIT_NOTE = "ubl_credit_note"
    CII = "cii"
    ZUGFERD = "zugferd"  # CII inside a PDF: ZUGFeRD, Factur-X


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoice:
    """The data of an e-invoice, by the terms of EN 16931 (BT-…); None where the invoice has no such term.

    `profile`: a short name where the specification identifier (BT-24) is a known one, else the identifier.
    `total`: with VAT (BT-112), in `currency` (BT-5). `problem`: what is wrong with it, in words for people.
    """

    kind: InvoiceKind
    profile: str | None = None
    number: str | None = field(default=None, repr=False)
    issue_date: date | None = None
    seller: str | None = field(default=None, repr=False)
    total: Decimal | None = field(default=None, repr=False)
    currency: str | None = None
    problem: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a mail and its fate.

    `position`: its place in the mail, parts of a container after it. `parent`: the position of the container that
    it came in. `size` in bytes and `sha256` are those of its content, where it could be read; `blob` is None
    where that is not stored. `related`: the position of the part that it belongs to: the first one of
    the same content, or the XML of the invoice that it shows.
    """

    position: int
    parent: int | None = None
    name: str = field(repr=False)
    declared_type: str | None
    detected_type: str | None = None
    type_mismatch: bool = False
    encrypted: bool = False
    disposition: Disposition
    rule: Rule
    size: int | None = None
    sha256: str | None = None
    blob: StoredBlob | None = None
    invoice: Invoice | None = None
    active_content: tuple[ActiveContent, ...] = ()
    related: int | None = None

    @property
    def content_type(self) -> str | None:
        """Return the detected type; for text, which has no signature, the declared one."""
        declared = (self.declared_type or "").partition(";")[0].strip().lower()
        if self.detected_type == "text/plain" and not self.type_mismatch and declared.startswith("text/"):
            return declared
        return self.detected_type


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanResult:
    """One result of a scan for malware. `malware`: names, as the scanner calls them.

    `said`: the scanner's reason for a scan that failed. `scanned_at`: by the scanner's clock.
    """

    container: str
    blob_name: str
    verdict: Verdict
    scanner: str
    malware: tuple[str, ...] = ()
    said: str | None = None
    scanned_at: datetime | None = None


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
