"""Mailboxes in memory, filled with real MIME."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import getaddresses

from ingest.codes import Reason
from ingest.errors import MimeUnavailable, NotFound
from ingest.model.message import Attachment, AttachmentKind, ListedMessage, Message, Scope
from ingest.model.message_ref import MessageRef, Trigger
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
    """A mail with PDF attachments by name; one invoice by default."""
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
    ref: MessageRef
    mail: EmailMessage
    mime: bytes
    received_at: datetime
    folder: str = "inbox"
    categories: tuple[str, ...] = ()
    links: list[str] = field(default_factory=list)


class FakeMail:
    """`Mail` and `Inbox`.

    `checks_folder`: a call below the inbox finds no message of another folder; Microsoft does not document which it
    is. `unconvertible`: Exchange gives no MIME of any message. `empty_contents`: so many downloads of an attachment
    are empty.
    """

    def __init__(self, journal: Journal | None = None, *, checks_folder: bool = True) -> None:
        self.journal = journal or Journal()
        self.checks_folder = checks_folder
        self.unconvertible = False
        self.empty_contents = 0
        self._kept: dict[MessageRef, _Kept] = {}
        self._count = 0

    # What a test does and looks at

    def deliver(self, mail: EmailMessage, mailbox: str = MAILBOX) -> MessageRef:
        """Into the inbox, one second after the mail before."""
        self._count += 1
        ref = MessageRef(mailbox=mailbox, message_id=f"AAkALg{self._count}")
        received_at = START + timedelta(seconds=self._count)
        self._kept[_key(ref)] = _Kept(ref=ref, mail=mail, mime=mail.as_bytes(), received_at=received_at)
        return ref

    def folder(self, ref: MessageRef) -> str | None:
        """The folder of the message; None where it is deleted."""
        kept = self._kept.get(_key(ref))
        return kept.folder if kept else None

    def categories(self, ref: MessageRef) -> tuple[str, ...]:
        return self._kept[_key(ref)].categories

    def categorise(self, ref: MessageRef, *categories: str) -> None:
        """As an Outlook user would."""
        self._kept[_key(ref)].categories = categories

    def move(self, ref: MessageRef, folder: str) -> None:
        """As an Outlook user would."""
        self._find(ref).folder = folder

    def remove(self, ref: MessageRef) -> None:
        """As an Outlook user would."""
        self._kept.pop(_key(ref))

    def link(self, ref: MessageRef, name: str) -> None:
        """Attach a file of a cloud drive, which no MIME carries."""
        self._kept[_key(ref)].links.append(name)

    def change_mime(self, ref: MessageRef, mime: bytes) -> None:
        """Exchange generates other bytes from now on."""
        self._kept[_key(ref)].mime = mime

    def mime(self, ref: MessageRef) -> bytes:
        return self._kept[_key(ref)].mime

    # Mail

    @contextmanager
    def original(self, ref: MessageRef, scope: Scope) -> Iterator[Iterator[bytes]]:
        self.journal.step("original")
        mime = self._find(ref, scope).mime
        if self.unconvertible:
            raise MimeUnavailable("get_mime: Graph answered 500 ErrorMimeContentConversionFailed")
        yield self._blocks(mime, "original.read")

    @contextmanager
    def message_json(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        self.journal.step("message_json")
        yield self._blocks(json.dumps(_json(self._find(ref))).encode(), "message_json.read")

    def attachments(self, ref: MessageRef) -> Sequence[Attachment]:
        self.journal.step("attachments")
        kept = self._find(ref)
        parts = [_attachment(f"att-{number}", part) for number, part in enumerate(kept.mail.iter_attachments())]
        links = [
            Attachment(id=f"link-{name}", kind=AttachmentKind.REFERENCE, name=name, content_type=None)
            for name in kept.links
        ]
        return [*parts, *links]

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        self.journal.step("content")
        parts = list(self._find(ref).mail.iter_attachments())
        if self.empty_contents:
            self.empty_contents -= 1
            yield iter(())
            return
        yield self._blocks(_content(parts[int(attachment.id.removeprefix("att-"))]), "content.read")

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        self.journal.step("locate")
        return self.categories(ref) if self.folder(ref) == "inbox" else None

    def describe(self, ref: MessageRef) -> Message:
        self.journal.step("describe")
        kept = self._find(ref)
        return Message(
            ref=ref,
            internet_message_id=kept.mail["Message-ID"],
            subject=str(kept.mail["Subject"] or ""),
            sender=_addresses(kept.mail, "From")[0],
            to=_addresses(kept.mail, "To"),
            cc=_addresses(kept.mail, "Cc"),
            received_at=kept.received_at,
        )

    def mark_read(self, ref: MessageRef, scope: Scope) -> None:
        self.journal.step("mark_read")
        self._find(ref, scope)

    def delete(self, ref: MessageRef, scope: Scope) -> None:
        self.journal.step("delete")
        try:
            self._find(ref, scope)
        except NotFound:
            return
        self.remove(ref)

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        self.journal.step("quarantine")
        kept = self._find(ref)
        kept.folder = "Quarantine"
        kept.categories = (*(category for category in categories if category not in set(Reason)), reason.value)

    # Inbox and junk

    def bring_in_junk(self, mailbox: str, *, limit: int) -> int:
        self.journal.step("bring_in_junk")
        junk = [one for one in self._kept.values() if one.ref.mailbox == mailbox and one.folder == "Junk Email"][:limit]
        for kept in junk:
            kept.folder = "inbox"
        return len(junk)

    def list_inbox(self, mailbox: str) -> Iterator[Sequence[ListedMessage]]:
        """One message a page."""
        for kept in list(self._kept.values()):
            if kept.ref.mailbox == mailbox and kept.folder == "inbox":
                self.journal.step("list_inbox")
                yield [ListedMessage(ref=replace(kept.ref, trigger=Trigger.SWEEP), received_at=kept.received_at)]

    def _find(self, ref: MessageRef, scope: Scope = Scope.MAILBOX) -> _Kept:
        kept = self._kept.get(_key(ref))
        if kept is None or (scope is Scope.INBOX and self.checks_folder and kept.folder != "inbox"):
            raise NotFound("get_message: Graph answered 404 ErrorItemNotFound")
        return kept

    def _blocks(self, content: bytes, name: str) -> Iterator[bytes]:
        half = len(content) // 2
        yield content[:half]
        self.journal.step(name)
        yield content[half:]


def _key(ref: MessageRef) -> MessageRef:
    return replace(ref, trigger=Trigger.WEBHOOK)


def _content(part: EmailMessage) -> bytes:
    content = part.get_content()
    if isinstance(content, EmailMessage):
        return content.as_bytes()
    return content if isinstance(content, bytes) else str(content).encode()


def _json(kept: _Kept) -> dict[str, object]:
    body = kept.mail.get_body()
    return {
        "id": kept.ref.message_id,
        "internetMessageId": kept.mail["Message-ID"],
        "subject": str(kept.mail["Subject"] or ""),
        "from": _recipients(kept.mail, "From")[0],
        "toRecipients": _recipients(kept.mail, "To"),
        "ccRecipients": _recipients(kept.mail, "Cc"),
        "internetMessageHeaders": [
            {"name": name, "value": str(value)} for name, value in kept.mail.items() if name != "To"
        ],
        "body": {"contentType": "text", "content": body.get_content() if body else ""},
    }


def _recipients(mail: EmailMessage, header: str) -> list[dict[str, object]]:
    pairs = getaddresses([str(value) for value in mail.get_all(header, [])])
    return [{"emailAddress": {"name": name, "address": address}} for name, address in pairs]


def _addresses(mail: EmailMessage, header: str) -> tuple[str, ...]:
    return tuple(address for _, address in getaddresses([str(value) for value in mail.get_all(header, [])]))


def _attachment(attachment_id: str, part: EmailMessage) -> Attachment:
    attached_mail = part.get_content_type() == "message/rfc822"
    return Attachment(
        id=attachment_id,
        kind=AttachmentKind.ITEM if attached_mail else AttachmentKind.FILE,
        name=part.get_filename() or (str(part.get_content()["Subject"]) if attached_mail else ""),
        content_type=None if attached_mail else part.get_content_type(),
        content_id=(part["Content-ID"] or "").strip("<>") or None,
        size=len(_content(part)) + 200,
    )
