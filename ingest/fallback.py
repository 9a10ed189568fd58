"""The original where Exchange gives no MIME: Graph's message as JSON with its headers, and Graph's attachments.

Exchange answers 500 for the MIME of S/MIME messages that it does not convert, and of damaged items. The JSON is the
kept evidence then. An attachment `smime.p7m` has the bytes that the sender signed or encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from ingest.codes import Reason, Rule
from ingest.documents.budget import Budget
from ingest.documents.graph_message import GraphMessage, read_message
from ingest.documents.headers.fields import Headers
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool
from ingest.documents.unpacking.container import Member
from ingest.documents.unpacking.content_ids import shown_content_ids
from ingest.errors import ContentInterrupted, PartRejected, Rejected
from ingest.model.message import Attachment, AttachmentKind, Message
from ingest.model.message_ref import MessageRef
from ingest.original import Body, must_not_be_pending, note_without_content
from ingest.ports import Mail
from ingest.transfer import Transfer

EMPTY_AT_MOST = 1024  # bytes that Graph may list for an attachment which turns out to be empty


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphOriginal:
    """An original as Graph's JSON. The attachments are downloaded while they are sorted."""

    message: Message
    content: GraphMessage
    spool: Spool
    mail: Mail
    transfer: Transfer

    @property
    def headers(self) -> Headers:
        """The header block that Graph shows of the message."""
        return self.content.headers

    def sort(self, sorter: Sorter, budget: Budget) -> Rule | None:
        """Give every attachment to the sorter. Raises as `Mail.attachments` and `Mail.content`."""
        shown = cache(lambda: shown_content_ids([self.content.body.encode("utf-8", "replace")]))
        with budget.uncounted():
            attachments = self.mail.attachments(self.message.ref)
        must_not_be_pending(attachment.name for attachment in attachments)
        for attachment in attachments:
            if attachment.kind in {AttachmentKind.FILE, AttachmentKind.ITEM}:
                self._take(attachment, sorter, budget, shown)
            else:
                note_without_content(attachment, sorter)
        return None

    def _take(
        self, attachment: Attachment, sorter: Sorter, budget: Budget, shown: Callable[[], frozenset[str]]
    ) -> None:
        member = Member(name=attachment.name, declared_type=attachment.content_type, content_id=attachment.content_id)
        take = sorter.take_item if attachment.kind is AttachmentKind.ITEM else sorter.take
        with Spool(budget) as spool:
            with budget.uncounted():
                self.transfer.download(
                    "attachment",
                    partial(self.mail.content, self.message.ref, attachment),
                    partial(_fill, spool, attachment),
                )
            take(member, spool, shown=shown)

    def body(self, *, max_parts: int) -> Body | None:  # noqa: ARG002 - for the other form
        """Return the mail's text as Graph shows it; None where the mail has no text."""
        if not self.content.body:
            return None
        media_type = "text/html" if self.content.is_html else "text/plain"
        return Body(
            extension="html" if self.content.is_html else "txt",
            declared_type=media_type,
            detected_type=media_type,
            content=lambda: iter([self.content.body.encode("utf-8", "replace")]),
        )


def download_message(mail: Mail, ref: MessageRef, transfer: Transfer, spool: Spool) -> GraphMessage:
    """Download Graph's message into the spool, and read it. Raises as `Mail.message_json`."""
    transfer.download("message", partial(mail.message_json, ref), spool.fill)
    try:
        return read_message(spool)
    except PartRejected:
        raise Rejected(Reason.UNREADABLE) from None


def _fill(spool: Spool, attachment: Attachment, blocks: Iterator[bytes]) -> None:
    spool.fill(blocks)
    if spool.size == 0 and attachment.size > EMPTY_AT_MOST:
        raise ContentInterrupted(f"an attachment of about {attachment.size} bytes came empty")
