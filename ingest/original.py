"""A mail's original: read once, routed by its header before the rest is read, kept in a spool.

The original is the MIME that Graph generates. Every document is taken from these bytes, so that each document is
provably in the kept evidence. Where Exchange gives no MIME, `ingest.fallback` reads Graph's own message.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Protocol

from ingest import log
from ingest.answers import OwnAddresses, target_of
from ingest.codes import Disposition, Rule
from ingest.documents.budget import Budget
from ingest.documents.headers import fields as mail_headers
from ingest.documents.headers.authentication import read_authentication
from ingest.documents.headers.fields import Headers, read_headers
from ingest.documents.rules import is_placeholder
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool
from ingest.documents.unpacking.container import Member
from ingest.documents.unpacking.mime import find_body, open_mail
from ingest.errors import AttachmentPending, ContentInterrupted, PartRejected
from ingest.model.message import Attachment, AttachmentKind, Message
from ingest.model.message_ref import MessageRef

MAX_PARTS = 1000  # parts of a mail itself, those of containers not counted; Exchange refuses mails of more than 250
# A redirect leaves To as it was. Mail programs and servers write the new recipient into one of these, the headers of
# people's programs before those of servers. After them comes `Received: … for <…>`.
REDIRECT_HEADERS = ("x-forwarded-to", "x-forwarded-for", "resent-to", "delivered-to", "x-original-to", "envelope-to")
_RECEIPT_HEADERS = ("disposition-notification-to", "return-receipt-to", "x-confirm-reading-to")
# Exchange gives every mail several of these. A proxy's page has none, though a line of its style looks like a field.
_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-type|received|return-path|sender)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A mail's text as it came. `content` returns its bytes without the transfer encoding."""

    extension: str
    declared_type: str
    detected_type: str
    content: Callable[[], Iterator[bytes]] = field(repr=False)


class Original(Protocol):
    """A mail's original in its spool, and the parts in it."""

    @property
    def message(self) -> Message:
        """The message's metadata."""

    @property
    def headers(self) -> Headers:
        """The mail's header block."""

    @property
    def spool(self) -> Spool:
        """The original's bytes."""

    def sort(self, sorter: Sorter, budget: Budget) -> Rule | None:
        """Give every attachment to the sorter, which shares the budget.

        Returns the rule by which the original stays shut and is a document itself; None if it was taken apart.
        """

    def body(self, *, max_parts: int) -> Body | None:
        """Return the mail's text, HTML where there is both; None where the mail has no text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MimeOriginal:
    """An original as MIME. `links` lists the attachments that MIME cannot carry."""

    message: Message
    headers: Headers = field(repr=False)
    spool: Spool
    links: Callable[[], Sequence[Attachment]] = field(default=tuple, repr=False)

    def sort(self, sorter: Sorter, budget: Budget) -> Rule | None:
        """Give every attachment to the sorter. Returns the rule of a mail that can't be taken apart.

        Past the budget, the attachments of the mail itself are still taken out: each is a range of the original.
        """
        with self.spool.charged_to(budget):
            try:
                container = open_mail(self.spool.file, max_parts=MAX_PARTS)
            except PartRejected as rejected:
                reference = self.message.ref.message_id
                log.warning("original.not_taken_apart", message=reference, cause=log.describe(rejected))
                return Rule.TOO_COSTLY if rejected.rule is Rule.TOO_COSTLY else Rule.UNREADABLE_CONTAINER
            must_not_be_pending(member.name for member in container.members)
            shown = cache(container.shown)
            for member in container.members:
                _take(member, sorter, budget, shown)
        if not container.members and (self.headers.get("x-ms-has-attach") or "").strip().lower() == "yes":
            self._note_links(sorter)
        return None

    def _note_links(self, sorter: Sorter) -> None:
        for attachment in self.links():
            if attachment.kind is AttachmentKind.REFERENCE:
                note_without_content(attachment, sorter)

    def body(self, *, max_parts: int) -> Body | None:
        """Return the mail's text, HTML where there is both; None where the mail has no text."""
        try:
            entity = find_body(self.spool.file, max_parts=max_parts)
        except PartRejected as rejected:
            log.warning("body.not_found", message=self.message.ref.message_id, cause=log.describe(rejected))
            return None
        if entity is None:
            return None
        return Body(
            extension="html" if entity.content_type == "text/html" else "txt",
            declared_type=entity.headers.get("content-type") or entity.content_type,
            detected_type=entity.content_type,
            content=lambda: entity.content(self.spool.file),
        )


def must_not_be_pending(names: Iterable[str]) -> None:
    """Raise AttachmentPending where an attachment is a placeholder: once deleted, the mail never gets its content."""
    if any(map(is_placeholder, names)):
        raise AttachmentPending("an attachment is being scanned, and a placeholder stands in its place")


def _take(member: Member, sorter: Sorter, budget: Budget, shown: Callable[[], frozenset[str]]) -> None:
    with Spool(budget) as content:
        try:
            with budget.uncounted():
                content.fill(member.open())
        except PartRejected as rejected:
            sorter.note(member, Disposition.REJECTED, rejected.rule)
            return
        sorter.take(member, content, shown=shown)


def note_without_content(attachment: Attachment, sorter: Sorter) -> None:
    """Record an attachment of Graph's that has no content: a cloud link, or a type that Graph adds later."""
    member = Member(name=attachment.name, declared_type=attachment.content_type, content_id=attachment.content_id)
    if attachment.kind is AttachmentKind.REFERENCE:
        sorter.note(member, Disposition.LINK, Rule.CLOUD_ATTACHMENT)
    else:
        sorter.note(member, Disposition.REJECTED, Rule.UNKNOWN_ATTACHMENT_TYPE)


def read_header(blocks: Iterable[bytes]) -> tuple[Headers, Iterator[bytes]]:
    """Read the header at the beginning of a mail; return it, and all blocks from the first one on.

    Takes no more blocks than the header reaches into. Raises ContentInterrupted where there is no field of a mail: an
    empty answer is a broken one, and so is the page of a proxy.
    """
    rest = iter(blocks)
    taken: list[bytes] = []

    def kept() -> Iterator[bytes]:
        for block in rest:
            taken.append(block)
            yield block

    headers = read_headers(kept())
    if not _FIELD.search(headers.block):
        raise ContentInterrupted("the original has no header of a mail")
    return headers, itertools.chain(taken, rest)


def _redirected_to(headers: Headers) -> Iterator[str]:
    for name in REDIRECT_HEADERS:
        yield from headers.addresses(name)
    yield from mail_headers.received_for(headers)


def message_of(
    ref: MessageRef,
    headers: Headers,
    received_at: datetime | None,
    *,
    authserv_id: str | None = None,
    own: OwnAddresses | None = None,
) -> Message:
    """Return the message's metadata. `received_at`: the time in the inbox's listing, where a listing has shown it.

    Without a listing, the newest Received header has the time, else it is now: the sender writes the Date header.
    `authserv_id`: the receiving service's name in Authentication-Results; None for Exchange Online, which writes none.
    `own`: our addresses, where senders get answers; None where they get none.
    """
    authentication = read_authentication(headers, service=authserv_id)
    subject, to, cc = mail_headers.subject(headers), mail_headers.to(headers), mail_headers.cc(headers)
    return Message(
        ref=ref,
        internet_message_id=mail_headers.message_id(headers),
        subject=subject,
        sender=mail_headers.sender(headers),
        to=to,
        cc=cc,
        redirected_to=tuple(_redirected_to(headers)),
        receipt_requested=any(name in headers for name in _RECEIPT_HEADERS),
        received_at=received_at or mail_headers.newest_received(headers) or datetime.now(UTC),
        authentication=authentication,
        answer_target=None if own is None else target_of(headers, authentication, subject, (*to, *cc), own),
    )
