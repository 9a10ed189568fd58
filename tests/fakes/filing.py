"""A message filed without Graph, Blob or Postgres: what Exchange makes of a MIME is taken from the simulator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ingest.codes import Reason
from ingest.filing import Filing, FilingOptions
from ingest.model import (
    Attachment,
    AttachmentKind,
    Claim,
    ClaimState,
    Invoice,
    Message,
    MessageRef,
    Part,
    StoredBlob,
    Tenant,
)
from ingest.transfer import Transfer
from local.graph.mail import mime
from local.graph.mail.mime import ParsedAttachment, ParsedMail
from tests.mails.table import Row

REF = MessageRef(mailbox="upload@dms.cloud", message_id="AAkALg")
TENANT = Tenant(id=1)
_KINDS = {"file": AttachmentKind.FILE, "item": AttachmentKind.ITEM, "reference": AttachmentKind.REFERENCE}


class OneMail:
    """A mailbox with one mail in it."""

    def __init__(self, raw: bytes, folder: Path) -> None:
        path = folder / "mail.eml"
        path.write_bytes(raw)
        self._raw = raw
        self._parsed: ParsedMail = mime.parse(path, attachments_at=folder / "attachment")

    def fetch(self, ref: MessageRef) -> Message:
        return Message(
            ref=ref,
            internet_message_id=self._parsed.message_id,
            subject=self._parsed.subject,
            sender=self._parsed.sender.address if self._parsed.sender else "",
            to=tuple(address.address for address in self._parsed.to),
            cc=(),
            received_at=datetime(2025, 3, 14, 8, 12, 33, tzinfo=UTC),
            parent_folder_id="inbox",
            categories=(),
            attachments=tuple(map(_attachment, range(len(self._parsed.attachments)), self._parsed.attachments)),
        )

    @contextmanager
    def original(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        assert ref == REF
        yield iter([self._raw])

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        assert ref == REF
        content = self._parsed.attachments[int(attachment.id)].content
        assert content is not None
        yield iter([content.read()])

    @contextmanager
    def body(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        assert ref == REF
        yield iter([self._parsed.body.encode()])

    def in_inbox(self, message: Message) -> bool:
        return message.parent_folder_id == "inbox"

    # What filing has no business with: a call of it fails the test.

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        raise NotImplementedError

    def delete(self, ref: MessageRef) -> None:
        raise NotImplementedError

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        raise NotImplementedError


class Blobs:
    """Content by name; nothing is overwritten."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def store(self, name: str, content: Iterator[bytes], *, metadata: Mapping[str, str] | None = None) -> StoredBlob:
        assert metadata is None or all(len(value) <= 255 for value in metadata.values())
        data = b"".join(content)
        assert self.content.setdefault(name, data) == data, f"{name} is written twice with other content"
        return StoredBlob(container="documents", name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Saved:
    """Remembers the copy that was saved last; stands for claims and copies."""

    def __init__(self) -> None:
        self.original: StoredBlob | None = None
        self.parts: tuple[Part, ...] = ()

    def save(self, claim: Claim, message: Message, original: StoredBlob, parts: Sequence[Part], *, last: bool) -> None:
        assert (claim.ref, message.ref, last) == (REF, REF, True)
        self.original, self.parts = original, tuple(parts)

    # What filing has no business with: a call of it fails the test.

    def claim(self, ref: MessageRef) -> Claim | None:
        raise NotImplementedError

    def renew(self, claim: Claim, *, reason: Reason | None = None) -> None:
        raise NotImplementedError

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        raise NotImplementedError

    def put_off(self, claim: Claim, error: str) -> None:
        raise NotImplementedError

    def count_defect(self, claim: Claim, error: str) -> None:
        raise NotImplementedError


def file_mail(raw: bytes, folder: Path, options: FilingOptions | None = None) -> tuple[Saved, Blobs]:
    """Take the mail apart, as the app does; what was saved, and what was stored."""
    claim = Claim(
        id=1, ref=REF, fence=1, state=ClaimState.PROCESSING, attempts=1, crashes=0, defects=0, lease_seconds=600
    )
    mail, blobs, saved = OneMail(raw, folder), Blobs(), Saved()
    filing = Filing(
        claim,
        transfer=Transfer(claim, saved),
        options=options or FilingOptions(),
        mail=mail,
        blobs=blobs,
        copies=saved,
    )
    filing.process_email_message(mail.fetch(REF), TENANT, last=True)
    return saved, blobs


def rows(parts: Sequence[Part]) -> list[Row]:
    """The parts as rows of a sample's table."""
    return [
        Row(
            position=part.position,
            inside=part.parent,
            disposition=part.disposition,
            rule=part.rule,
            name=part.name.replace("\0", "\ufffd"),
            declared=part.declared_type,
            detected=part.detected_type,
            mismatch=part.type_mismatch,
            encrypted=part.encrypted,
            related=part.related,
            size=part.size,
            sha256=part.sha256,
            invoice=invoice_line(part.invoice),
        )
        for part in parts
    ]


def invoice_line(invoice: Invoice | None) -> str | None:
    """What an e-invoice says, in one line."""
    if invoice is None:
        return None
    values = (
        invoice.kind.value,
        invoice.profile,
        invoice.number,
        invoice.issue_date,
        invoice.seller,
        invoice.total,
        invoice.currency,
    )
    line = " ".join("-" if value is None else str(value) for value in values)
    return f"{line} problem: {invoice.problem}" if invoice.problem else line


def _attachment(number: int, parsed: ParsedAttachment) -> Attachment:
    return Attachment(
        id=str(number),
        kind=_KINDS[parsed.kind],
        name=parsed.name,
        content_type=parsed.content_type,
        content_id=parsed.content_id,
    )
