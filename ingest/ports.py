"""The adapters that the story of a message needs, as small Protocols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ingest.codes import PassedOver, Reason
from ingest.model.answer import Answer
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.copy import SavedCopy
from ingest.model.message import UNKNOWN_SENDER, Attachment, Authentication, ListedMessage, Message, Scope
from ingest.model.message_ref import MessageRef
from ingest.model.part import Part
from ingest.model.tenant import Tenant, TokenMatch

UPLOAD_BLOCK = 4 * 1024 * 1024  # bytes of a content that are in memory for its upload, for every size of content


class Mail(Protocol):
    """The mailboxes. Every call may raise Later; those on a message NotFound. Reading may raise ContentInterrupted."""

    def original(self, ref: MessageRef, scope: Scope) -> AbstractContextManager[Iterator[bytes]]:
        """Open the whole message as MIME. Raises MimeUnavailable."""

    def message_json(self, ref: MessageRef) -> AbstractContextManager[Iterator[bytes]]:
        """Open Graph's message as JSON, with headers, body and attachments. Raises Rejected(unreadable)."""

    def attachments(self, ref: MessageRef) -> Sequence[Attachment]:
        """List the attachments without their content. Raises Rejected(unreadable)."""

    def content(self, ref: MessageRef, attachment: Attachment) -> AbstractContextManager[Iterator[bytes]]:
        """Open an attachment. Raises Rejected(unreadable)."""

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        """Return the categories of a message in its mailbox's inbox; None for one that is elsewhere or gone."""

    def describe(self, ref: MessageRef) -> Message:
        """Return sender, subject, recipients and time as Graph shows them, without the content."""

    def mark_read(self, ref: MessageRef, scope: Scope) -> None:
        """Mark the message as read."""

    def delete(self, ref: MessageRef, scope: Scope) -> None:
        """Take the message out of the mailbox. One that is gone is done."""

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        """Put the reason beside the message's `categories`, and move it to Quarantine."""


class Inbox(Protocol):
    """The part of a mailbox that the sweep reads. May raise Later."""

    def list_inbox(self, mailbox: str) -> Iterator[Sequence[ListedMessage]]:
        """Yield the messages in the inbox, in pages, oldest first."""


class Junk(Protocol):
    """The part of a mailbox that Exchange's filter fills. May raise Later."""

    def bring_in_junk(self, mailbox: str, *, limit: int) -> int:
        """Move at most `limit` messages from Junk Email to the inbox, oldest first; return the number."""


class Blobs(Protocol):
    """The storage of content."""

    def store(
        self,
        name: str,
        content: Iterable[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredBlob:
        """Store a content of `size` bytes that comes in blocks of at most UPLOAD_BLOCK. `sha256` in hex.

        Raises BlobConflict, BlobUnavailable, and what reading `content` raises.
        """

    def holds(self, blob: StoredBlob) -> bool:
        """Return whether the blob is there with its length and hash. Raises BlobUnavailable.

        A blob of another container is taken for one that is there.
        """


class Claims(Protocol):
    """The claims on messages. Every call may raise DatabaseUnavailable; those that take a claim LeaseLost."""

    def claim(self, ref: MessageRef) -> Claim | None:
        """Return the right to work on a message; None while another owner's lease lives, and for a repetition."""

    def renew(self, claim: Claim, *, reason: Reason | None = None, answer: Answer | None = None) -> None:
        """Keep the claim for another lease, and record the reason of an intended quarantine and the answer to it."""

    def admit_sender(self, claim: Claim) -> None:
        """Let in the sender of a message that was in Quarantine for its sender, and lies in the inbox again."""

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        """Record where the message ended."""

    def put_off(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, because of trouble that counts against no mail."""

    def count_defect(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, and count a defect of our own."""

    def count_overrun(self, claim: Claim, error: str) -> None:
        """Give the claim back unfinished, and count an attempt that took the whole time of a message."""


class Tenants(Protocol):
    """The tenants of the database. Every call may raise DatabaseUnavailable."""

    def resolve_tokens(self, tokens: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        """Return a match for each token that belongs to a tenant, with the tenant's word on the sender."""

    def resolve_addresses(self, addresses: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        """Return a match for each old address of a tenant that an operator has confirmed. As `resolve_tokens`."""

    def note_passed_over(self, claim: Claim, passed_over: Mapping[str, PassedOver]) -> None:
        """Note the tokens and old addresses of the message that brought no copy, in place of earlier notes."""

    def tenant_context(self, tenant: Tenant) -> AbstractContextManager[None]:
        """Write the rows of `tenant`, and of no other tenant, in the block."""


class Turns(Protocol):
    """The messages that wait for their tenant's turn."""

    def wait(self, claim: Claim, *, sender: str | None) -> None:
        """Give the claim back until its turn comes, as a message of the context's tenant.

        `sender`: the proven one, None for all others. Raises LeaseLost, DatabaseUnavailable.
        """


class Copies(Protocol):
    """The copies that tenants have of messages."""

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
        """Write the copy of the context's tenant in one transaction; with the `last` one the claim is STORED.

        `answer` goes to the sender, due with the end of the message. Raises LeaseLost, DatabaseUnavailable.
        """

    def link(self, claim: Claim, message: Message, sha256: str, *, last: bool) -> bool:
        """Link the message to an earlier copy that the context's tenant has of the same mail; return False without one.

        The same mail: Message-ID and hash of the original are on record. Raises as `save`.
        """

    def recorded_blobs(self, claim: Claim) -> Sequence[StoredBlob]:
        """Return the blobs that the copy of the context's tenant names: those of the first copy, where it is a link.

        Raises DatabaseUnavailable.
        """


class Rejections(Protocol):
    """The records of messages that go to Quarantine. Every call may raise DatabaseUnavailable."""

    def reject(self, claim: Claim, reason: Reason, message: Message) -> None:
        """Record the rejection for the context's tenant."""

    def reject_unattributed(self, claim: Claim, reason: Reason, message: Message) -> None:
        """Record the rejection of a message that no tenant is known for."""


class Backlog(Protocol):
    """The messages that the sweep puts on the queue. Every call may raise DatabaseUnavailable."""

    def enqueue(self, mailbox: str, found: Sequence[ListedMessage], *, outstanding: int) -> list[MessageRef]:
        """Return those of `found` that are not on their way; they are remembered as enqueued now.

        `outstanding`: messages of the mailbox on the queue, these included.
        """

    def enqueue_abandoned(self, mailbox: str, *, outstanding: int) -> list[MessageRef]:
        """Return messages that were begun and not finished; they are remembered as enqueued now."""

    def give_turns(self, mailbox: str, *, limit: int, outstanding: int) -> list[MessageRef]:
        """Return at most `limit` messages that waited for their turn; they are remembered as enqueued now."""

    def outstanding(self, mailbox: str) -> int:
        """Return the number of messages that the sweep has enqueued and that have not ended."""
