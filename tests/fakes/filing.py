"""A message filed without Graph, Blob or Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ingest.codes import Reason
from ingest.documents.spool import Spool
from ingest.filing import Filing, FilingOptions
from ingest.model.answer import Answer
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.copy import SavedCopy
from ingest.model.invoice import Invoice
from ingest.model.message import Message, OriginalForm
from ingest.model.message_ref import MessageRef
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.original import MimeOriginal, message_of, read_header
from ingest.transfer import Transfer
from tests.mails.table import Row

REF = MessageRef(mailbox="upload@dms.cloud", message_id="AAkALg")
TENANT = Tenant(id=1)


class Blobs:
    """Content by name; nothing is overwritten."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def store(
        self,
        name: str,
        content: Iterable[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredBlob:
        assert metadata is None or all(len(value) <= 255 for value in metadata.values())
        data = b"".join(content)
        assert self.content.setdefault(name, data) == data, f"{name} is written twice with other content"
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
        return StoredBlob(container="documents", name=name, size=size, sha256=sha256)

    def holds(self, blob: StoredBlob) -> bool:
        raise NotImplementedError  # meant: the blobs of a new copy need no look


class Saved:
    """Remembers the copy that was saved last; stands for claims and copies."""

    def __init__(self) -> None:
        self.original: StoredBlob | None = None
        self.parts: tuple[Part, ...] = ()

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
        assert answer is None
        assert (claim.ref, message.ref, message.form, last) == (REF, REF, OriginalForm.MIME, True)
        self.original, self.parts = original, tuple(parts)
        return SavedCopy(new=True)

    def link(self, claim: Claim, message: Message, sha256: str, *, last: bool) -> bool:
        assert (claim.ref, message.ref, len(sha256), last) == (REF, REF, 64, True)
        return False

    def recorded_blobs(self, claim: Claim) -> Sequence[StoredBlob]:
        raise NotImplementedError  # meant: the blobs of a new copy need no look

    # The rest of the Protocol belongs to other rooms: filing must not call it, and a call fails the test.

    def claim(self, ref: MessageRef) -> Claim | None:
        raise NotImplementedError  # meant: filing must not call it

    def renew(self, claim: Claim, *, reason: Reason | None = None, answer: Answer | None = None) -> None:
        raise NotImplementedError  # meant: filing must not call it

    def admit_sender(self, claim: Claim) -> None:
        raise NotImplementedError  # meant: filing must not call it

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        raise NotImplementedError  # meant: filing must not call it

    def put_off(self, claim: Claim, error: str) -> None:
        raise NotImplementedError  # meant: filing must not call it

    def count_defect(self, claim: Claim, error: str) -> None:
        raise NotImplementedError  # meant: filing must not call it

    def count_overrun(self, claim: Claim, error: str) -> None:
        raise NotImplementedError  # meant: filing must not call it


def file_mail(raw: bytes, options: FilingOptions | None = None) -> tuple[Saved, Blobs]:
    """Take the mail apart, as the app does; what was saved, and what was stored."""
    claim = Claim(
        id=1,
        ref=REF,
        fence=1,
        state=ClaimState.PROCESSING,
        attempts=1,
        crashes=0,
        defects=0,
        overruns=0,
        lease_seconds=600,
    )
    blobs, saved = Blobs(), Saved()
    filing = Filing(
        claim, transfer=Transfer(claim, saved), options=options or FilingOptions(), blobs=blobs, copies=saved
    )
    with Spool() as spool:
        headers, content = read_header([raw])
        spool.fill(content)
        original = MimeOriginal(message=message_of(REF, headers, None), headers=headers, spool=spool)
        filing.process_email_message(original, TENANT, last=True)
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
            active=part.active_content,
            related=part.related,
            size=part.size,
            sha256=part.sha256,
            invoice=invoice_line(part.invoice),
        )
        for part in parts
    ]


def invoice_line(invoice: Invoice | None) -> str | None:
    """The facts of an e-invoice, in one line."""
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
