"""One message into one tenant's storage: the original, every part, and their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from ingest import log
from ingest.codes import Disposition, Rule
from ingest.documents.budget import Budget
from ingest.documents.content_ids import shown_content_ids
from ingest.documents.pdf import ReadObjects, read_objects_here
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool
from ingest.documents.unpacking.container import Member
from ingest.documents.unpacking.mime import find_body
from ingest.errors import PartRejected
from ingest.model import (
    Attachment,
    AttachmentKind,
    BodyMode,
    Claim,
    Limits,
    Message,
    MessageRef,
    Part,
    StoredBlob,
    Tenant,
)
from ingest.ports import Blobs, Copies, Mail
from ingest.transfer import Open, Transfer

ORIGINAL_POSITION, BODY_POSITION = 0, -1  # of the two documents that are no attachments; attachments count from 1
MAX_METADATA_NAME = 255  # characters of a file name in the blob's metadata; Postgres has the whole name
_NO_CONTENT = {
    AttachmentKind.REFERENCE: (Disposition.LINK, Rule.CLOUD_ATTACHMENT),
    AttachmentKind.UNKNOWN: (Disposition.REJECTED, Rule.UNKNOWN_ATTACHMENT_TYPE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FilingOptions:
    """The limits of unpacking, the choice whether the body is stored as well, and the reader of PDFs."""

    limits: Limits = field(default_factory=Limits)
    body: BodyMode = BodyMode.NEVER
    read_objects: ReadObjects = read_objects_here


class Filing:
    """The filing of one claimed message. The claim goes into every step, so that each step proves its owner."""

    def __init__(
        self, claim: Claim, *, transfer: Transfer, options: FilingOptions, mail: Mail, blobs: Blobs, copies: Copies
    ) -> None:
        self._claim = claim
        self._transfer = transfer
        self._options = options
        self._mail = mail
        self._blobs = blobs
        self._copies = copies

    def process_email_message(self, message: Message, tenant: Tenant, *, last: bool) -> int:
        """Store the original and all parts in Blob and their rows in one transaction; return the number of documents.

        Runs inside `tenant_context(tenant)`. `last`: no other tenant gets a copy after this one. Can be repeated: a
        blob's name follows from tenant, message and the part's place in the message, and a blob that exists is not
        written again. Raises NotFound, Rejected, Later, Defect.
        """
        folder = f"{tenant.id}/{message.ref.key}"
        body: list[Part] = []
        if self._options.body is BodyMode.ALWAYS:
            with Spool() as spool:
                self._fill(spool, lambda: self._mail.original(message.ref))
                original = self._upload(f"{folder}/original.eml", spool.blocks(), {"subject": message.subject})
                body = self._body(message, folder, spool)
        else:
            original = self._store_original(message, f"{folder}/original.eml")
        parts = [*self._sorted(message, folder), *body]
        if not any(part.disposition is Disposition.DOCUMENT and part.rule is not Rule.BODY for part in parts):
            parts.append(_original_as_document(message, original))
        self._copies.save(self._claim, message, original, parts, last=last)
        return sum(part.disposition is Disposition.DOCUMENT for part in parts)

    def _sorted(self, message: Message, folder: str) -> tuple[Part, ...]:
        """Return every attachment and the parts inside of attachments."""

        def store(path: tuple[int, ...], name: str, spool: Spool) -> StoredBlob:
            place = ".".join(f"{number:03d}" for number in path)
            return self._upload(f"{folder}/{place}", spool.blocks(), {"name": name})

        shown = cache(partial(self._shown, message.ref))
        budget = Budget(self._options.limits, keep_alive=self._transfer.keep_alive)
        sorter = Sorter(
            limits=self._options.limits, budget=budget, store=store, read_objects=self._options.read_objects
        )
        for attachment in message.attachments:
            member = _member(attachment)
            if attachment.kind in _NO_CONTENT:
                sorter.note(member, *_NO_CONTENT[attachment.kind])
                continue
            take = sorter.take_item if attachment.kind is AttachmentKind.ITEM else sorter.take
            with Spool(budget) as spool:
                with budget.uncounted():
                    self._fill(spool, partial(self._mail.content, message.ref, attachment))
                take(member, spool, shown=shown)
        return sorter.parts()

    def _shown(self, ref: MessageRef) -> frozenset[str]:
        with self._mail.body(ref) as blocks:
            return shown_content_ids(blocks)

    def _body(self, message: Message, folder: str, original: Spool) -> list[Part]:
        """Return the mail's text as it came, HTML where there is both; nothing where the mail has no text."""
        try:
            entity = find_body(original.file, max_parts=self._options.limits.parts)
        except PartRejected as rejected:
            log.warning("body.not_found", message=message.ref.message_id, cause=log.describe(rejected))
            return []
        if entity is None:
            return []
        name = f"{message.subject or 'E-Mail'}.{'html' if entity.content_type == 'text/html' else 'txt'}"
        blob = self._upload(f"{folder}/body", entity.content(original.file), {"name": name})
        return [
            Part(
                position=BODY_POSITION,
                name=name,
                declared_type=entity.headers.get("content-type") or entity.content_type,
                detected_type=entity.content_type,
                disposition=Disposition.DOCUMENT,
                rule=Rule.BODY,
                size=blob.size,
                sha256=blob.sha256,
                blob=blob,
            )
        ]

    def _store_original(self, message: Message, name: str) -> StoredBlob:
        """Store the original straight from Graph to Blob, without a look into it."""
        return self._transfer.download(
            name,
            lambda: self._mail.original(message.ref),
            lambda blocks: self._upload(name, blocks, {"subject": message.subject}),
        )

    def _fill(self, spool: Spool, open_content: Open) -> None:
        self._transfer.download("spool", open_content, spool.fill)

    def _upload(self, name: str, blocks: Iterable[bytes], metadata: Mapping[str, str]) -> StoredBlob:
        short = {key: value[:MAX_METADATA_NAME] for key, value in metadata.items()}
        return self._blobs.store(name, self._transfer.while_owned(blocks), metadata=short)


def _member(attachment: Attachment) -> Member:
    return Member(name=attachment.name, declared_type=attachment.content_type, content_id=attachment.content_id)


def _original_as_document(message: Message, original: StoredBlob) -> Part:
    return Part(
        position=ORIGINAL_POSITION,
        name=f"{message.subject or 'E-Mail'}.eml",
        declared_type="message/rfc822",
        detected_type="message/rfc822",
        disposition=Disposition.DOCUMENT,
        rule=Rule.MAIL_WITHOUT_DOCUMENTS,
        size=original.size,
        sha256=original.sha256,
        blob=original,
    )
