"""One message into one tenant's storage: the original, every part, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache, partial

from ingest import log
from ingest.codes import Disposition, Rule
from ingest.documents.content_ids import shown_content_ids
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool
from ingest.documents.unpacking.container import Member
from ingest.documents.unpacking.mime import find_body
from ingest.errors import ContentInterrupted, Later, PartRejected
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
from ingest.ports import Blobs, Claims, Copies, Mail

# Below functionTimeout in host.json: a host that kills the process at ten minutes makes a slow cloud look like a crash.
FILING_SECONDS = 480.0
CONTENT_TRIES = 3  # of one download within one try of the message
ORIGINAL_POSITION, BODY_POSITION = 0, -1  # of the documents that are no attachments; those count from 1
MAX_METADATA_NAME = 255  # characters of a file name beside the blob; Postgres has all of it
_NO_CONTENT = {
    AttachmentKind.REFERENCE: (Disposition.LINK, Rule.CLOUD_ATTACHMENT),
    AttachmentKind.UNKNOWN: (Disposition.REJECTED, Rule.UNKNOWN_ATTACHMENT_TYPE),
}

type _Open = Callable[[], AbstractContextManager[Iterator[bytes]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilingRules:
    """How far containers are unpacked, and whether the body is stored as well."""

    limits: Limits = field(default_factory=Limits)
    body: BodyMode = BodyMode.NEVER


class Filing:
    """The filing of a claimed message for one tenant; knows its claim, so that every step proves that it owns it.

    `last`: no other tenant gets a copy after this one.
    """

    def __init__(
        self, claim: Claim, *, last: bool, rules: FilingRules, mail: Mail, blobs: Blobs, claims: Claims, copies: Copies
    ) -> None:
        self._claim = claim
        self._last = last
        self._rules = rules
        self._mail = mail
        self._blobs = blobs
        self._claims = claims
        self._copies = copies
        self._renewed_at = time.monotonic()
        self._deadline = self._renewed_at + FILING_SECONDS

    def process_email_message(self, message: Message, tenant: Tenant) -> int:
        """Store the original and all parts in Blob, and their rows in one transaction.

        Runs inside `tenant_context(tenant)`. Can be repeated: blob names follow from tenant, message and the part's
        place in it, and what is there is not written again. Returns the number of documents. Raises NotFound,
        Rejected, Later, Defect.
        """
        folder = f"{tenant.id}/{message.ref.key}"
        body: list[Part] = []
        if self._rules.body is BodyMode.ALWAYS:
            with Spool() as spool:
                self._fill(spool, lambda: self._mail.original(message.ref))
                original = self._upload(f"{folder}/original.eml", spool.blocks(), {"subject": message.subject})
                body = self._body(message, folder, spool)
        else:
            original = self._store_original(message, f"{folder}/original.eml")
        parts = [*self._sorted(message, folder), *body]
        if not any(part.disposition is Disposition.DOCUMENT and part.reason is not Rule.BODY for part in parts):
            parts.append(_original_as_document(message, original))
        self._copies.save(self._claim, message, original, parts, last=self._last)
        return sum(part.disposition is Disposition.DOCUMENT for part in parts)

    def _sorted(self, message: Message, folder: str) -> tuple[Part, ...]:
        """Every attachment, and what is inside of it."""

        def store(path: tuple[int, ...], name: str, spool: Spool) -> StoredBlob:
            place = ".".join(f"{number:03d}" for number in path)
            return self._upload(f"{folder}/{place}", spool.blocks(), {"name": name})

        shown = cache(partial(self._shown, message.ref))
        sorter = Sorter(limits=self._rules.limits, store=store)
        for attachment in message.attachments:
            member = _member(attachment)
            if attachment.kind in _NO_CONTENT:
                sorter.note(member, *_NO_CONTENT[attachment.kind])
                continue
            with Spool() as spool:
                self._fill(spool, partial(self._mail.content, message.ref, attachment))
                take = sorter.take_item if attachment.kind is AttachmentKind.ITEM else sorter.take
                take(member, spool, shown=shown)
        return sorter.parts()

    def _shown(self, ref: MessageRef) -> frozenset[str]:
        with self._mail.body(ref) as blocks:
            return shown_content_ids(blocks)

    def _body(self, message: Message, folder: str, original: Spool) -> list[Part]:
        """The mail's text as it came, HTML where there is both; a mail may have none."""
        try:
            entity = find_body(original.file, max_parts=self._rules.limits.parts)
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
                declared_type=str(entity.headers.get("content-type", entity.content_type)),
                detected_type=entity.content_type,
                disposition=Disposition.DOCUMENT,
                reason=Rule.BODY,
                size=blob.size,
                sha256=blob.sha256,
                blob=blob,
            )
        ]

    def _store_original(self, message: Message, name: str) -> StoredBlob:
        """Straight from Graph to Blob: nobody looks into it."""
        return _whole(
            name,
            lambda: self._mail.original(message.ref),
            lambda blocks: self._upload(name, blocks, {"subject": message.subject}),
        )

    def _fill(self, spool: Spool, open_content: _Open) -> None:
        _whole("spool", open_content, lambda blocks: spool.fill(self._while_owned(blocks)))

    def _upload(self, name: str, blocks: Iterable[bytes], metadata: Mapping[str, str]) -> StoredBlob:
        short = {key: value[:MAX_METADATA_NAME] for key, value in metadata.items()}
        return self._blobs.store(name, self._while_owned(blocks), metadata=short)

    def _while_owned(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks; on the way the lease is kept alive, and its loss ends the transfer."""
        for block in blocks:
            now = time.monotonic()
            if now > self._deadline:
                raise Later(f"the message is not filed after {FILING_SECONDS:g} seconds; another try goes on")
            if now - self._renewed_at > self._claim.lease_seconds / 3:
                self._claims.renew(self._claim)
                self._renewed_at = now
            yield block


def _whole[Result](name: str, open_content: _Open, take: Callable[[Iterator[bytes]], Result]) -> Result:
    """All of a download. One that breaks off starts over: half of it counts for nothing."""
    for attempt in range(1, CONTENT_TRIES + 1):
        try:
            with open_content() as blocks:
                return take(blocks)
        except ContentInterrupted as interrupted:
            log.info("content.interrupted", blob=name, attempt=attempt, cause=log.describe(interrupted))
            if attempt == CONTENT_TRIES:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _member(attachment: Attachment) -> Member:
    return Member(name=attachment.name, declared_type=attachment.content_type, content_id=attachment.content_id)


def _original_as_document(message: Message, original: StoredBlob) -> Part:
    return Part(
        position=ORIGINAL_POSITION,
        name=f"{message.subject or 'E-Mail'}.eml",
        declared_type="message/rfc822",
        detected_type="message/rfc822",
        disposition=Disposition.DOCUMENT,
        reason=Rule.MAIL_WITHOUT_DOCUMENTS,
        size=original.size,
        sha256=original.sha256,
        blob=original,
    )
