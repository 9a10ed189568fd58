"""Mailboxes in memory, filled with real MIME."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import getaddresses

from ingest.codes import Reason
from ingest.errors import NotFound
from ingest.model import Attachment, AttachmentKind, LeftOver, Message, MessageRef, Trigger
from tests.fakes.journal import Journal
from tests.fakes.values import MAILBOX, TOKEN

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def email(
    *,
    to: Sequence[str] = (f"upload.{TOKEN}@dms.example",),
    cc: Sequence[str] = (),
    subject: str = "Rechnung 4711",
    attachments: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    """A mail with PDF attachments by name; one invoice unless told otherwise."""
    mail = EmailMessage()
    mail["From"] = "Lieferant <billing@supplier.example>"
    mail["To"] = ", ".join(to)
    if cc:
        mail["Cc"] = ", ".join(cc)
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{abs(hash((subject, *to)))}@supplier.example>"
    mail.set_content("Anbei die Rechnung.\n")
    for name, content in ({"invoice.pdf": PDF} if attachments is None else attachments).items():
        mail.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    return mail


@dataclass(kw_only=True)
class _Kept:
    message: Message
    mime: bytes
    contents: dict[str, bytes]
    body: bytes


class FakeMail:
    """`Mail` and `Inbox`. The folder of a message is its `parent_folder_id`."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self._kept: dict[MessageRef, _Kept] = {}
        self._count = 0

    # What a test does and looks at

    def deliver(self, mail: EmailMessage, mailbox: str = MAILBOX) -> MessageRef:
        """Into the inbox, one second after the mail before."""
        self._count += 1
        ref = MessageRef(mailbox=mailbox, message_id=f"AAkALg{self._count}")
        attachments, contents = [], {}
        for number, part in enumerate(mail.iter_attachments()):
            content = _content(part)
            attachment = _attachment(f"att-{number}", part)
            attachments.append(attachment)
            contents[attachment.id] = content
        message = Message(
            ref=ref,
            internet_message_id=mail["Message-ID"],
            subject=mail["Subject"] or "",
            sender=_addresses(mail, "From")[0],
            to=_addresses(mail, "To"),
            cc=_addresses(mail, "Cc"),
            received_at=START + timedelta(seconds=self._count),
            parent_folder_id="inbox",
            categories=(),
            attachments=tuple(attachments),
        )
        body = mail.get_body(("html",))
        shown = body.get_content().encode() if body else b""
        self._kept[_key(ref)] = _Kept(message=message, mime=mail.as_bytes(), contents=contents, body=shown)
        return ref

    def folder(self, ref: MessageRef) -> str | None:
        """Where the message is; None where it is deleted."""
        kept = self._kept.get(_key(ref))
        return kept.message.parent_folder_id if kept else None

    def categories(self, ref: MessageRef) -> tuple[str, ...]:
        return self._kept[_key(ref)].message.categories

    def categorise(self, ref: MessageRef, *categories: str) -> None:
        """As somebody in Outlook would."""
        self._change(ref, categories=categories)

    def move(self, ref: MessageRef, folder: str) -> None:
        """As somebody in Outlook would."""
        self._change(ref, parent_folder_id=folder)

    def mime(self, ref: MessageRef) -> bytes:
        return self._kept[_key(ref)].mime

    # Mail

    def fetch(self, ref: MessageRef) -> Message:
        self.journal.step("fetch")
        return replace(self._find(ref).message, ref=ref)

    def in_inbox(self, message: Message) -> bool:
        self.journal.step("in_inbox")
        return message.parent_folder_id == "inbox"

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        self.journal.step("locate")
        return self.categories(ref) if self.folder(ref) == "inbox" else None

    @contextmanager
    def original(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        self.journal.step("original")
        yield self._blocks(self._find(ref).mime, "original.read")

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        self.journal.step("content")
        yield self._blocks(self._find(ref).contents[attachment.id], "content.read")

    @contextmanager
    def body(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        self.journal.step("body")
        yield iter((self._find(ref).body,))

    def delete(self, ref: MessageRef) -> None:
        self.journal.step("delete")
        self._kept.pop(_key(ref), None)

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        self.journal.step("quarantine")
        kept = [category for category in categories if category not in set(Reason)]
        self._change(ref, parent_folder_id="Quarantine", categories=(*kept, reason.value))

    # Inbox

    def left_over(self, mailbox: str) -> Iterator[Sequence[LeftOver]]:
        """One message a page."""
        for kept in list(self._kept.values()):
            message = kept.message
            if message.ref.mailbox == mailbox and message.parent_folder_id == "inbox":
                self.journal.step("list_inbox")
                ref = replace(message.ref, trigger=Trigger.SWEEP)
                yield [LeftOver(ref=ref, received_at=message.received_at)]

    def _find(self, ref: MessageRef) -> _Kept:
        try:
            return self._kept[_key(ref)]
        except KeyError:
            raise NotFound("get_message: Graph answered 404 ErrorItemNotFound") from None

    def _change(self, ref: MessageRef, **changes: object) -> None:
        kept = self._find(ref)
        kept.message = replace(kept.message, **changes)  # type: ignore[arg-type]  # names of fields, checked by replace

    def _blocks(self, content: bytes, name: str) -> Iterator[bytes]:
        half = len(content) // 2
        yield content[:half]
        self.journal.step(name)
        yield content[half:]


def _key(ref: MessageRef) -> MessageRef:
    return replace(ref, trigger=Trigger.WEBHOOK)


def _addresses(mail: EmailMessage, header: str) -> tuple[str, ...]:
    return tuple(address for _, address in getaddresses([str(value) for value in mail.get_all(header, [])]))


def _content(part: EmailMessage) -> bytes:
    content = part.get_content()
    if isinstance(content, EmailMessage):
        return content.as_bytes()
    return content if isinstance(content, bytes) else str(content).encode()


def _attachment(attachment_id: str, part: EmailMessage) -> Attachment:
    attached_mail = part.get_content_type() == "message/rfc822"
    return Attachment(
        id=attachment_id,
        kind=AttachmentKind.ITEM if attached_mail else AttachmentKind.FILE,
        name=part.get_filename() or "",
        content_type=None if attached_mail else part.get_content_type(),
        content_id=(part["Content-ID"] or "").strip("<>") or None,
    )
