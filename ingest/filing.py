"""One message into one tenant's storage: the original, every document, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from ingest import log
from ingest.errors import ContentInterrupted
from ingest.model import Claim, Disposition, Message, Part, StoredBlob, Tenant
from ingest.parts import PlannedPart, needs_body, plan_parts
from ingest.ports import Blobs, Mail, Records

CONTENT_TRIES = 3  # of one download within one try of the message
MAX_METADATA_NAME = 255  # characters of a file name beside the blob; Postgres has all of it


class Filing:
    """The filing of a claimed message; knows its claim, so that every step proves that it still owns it."""

    def __init__(self, claim: Claim, *, copies: int, mail: Mail, blobs: Blobs, records: Records) -> None:
        self._claim = claim
        self._copies = copies
        self._mail = mail
        self._blobs = blobs
        self._records = records
        self._renewed_at = time.monotonic()

    def process_email_message(self, message: Message, tenant: Tenant) -> int:
        """Store the original and all documents in Blob, and their rows in one transaction.

        Runs inside `tenant_context(tenant)`. Can be repeated: blob names follow from tenant and message, what is
        there is not written again. Returns the number of documents. Raises NotFound, Rejected, Later, Defect.
        """
        folder = f"{tenant.id}/{message.ref.key}"
        original = self._store(
            f"{folder}/original.eml", lambda: self._mail.original(message.ref), {"subject": message.subject}
        )
        shown = self._mail.cids_in_body(message.ref) if needs_body(message.attachments) else frozenset()
        parts = [
            self._part(message, folder, position, planned)
            for position, planned in enumerate(plan_parts(message.attachments, shown), start=1)
        ]
        if not any(part.disposition is Disposition.DOCUMENT for part in parts):
            parts.append(_original_as_document(message, original))
        self._records.save(self._claim, message, original, parts, copies=self._copies)
        return sum(part.disposition is Disposition.DOCUMENT for part in parts)

    def _part(self, message: Message, folder: str, position: int, planned: PlannedPart) -> Part:
        blob = None
        if planned.stored:
            blob = self._store(
                f"{folder}/{position:03d}",
                lambda: self._mail.content(message.ref, planned.attachment),
                {"name": planned.name},
            )
        return Part(
            position=position,
            name=planned.name,
            declared_type=planned.attachment.content_type,
            disposition=planned.disposition,
            reason=planned.reason,
            blob=blob,
        )

    def _store(
        self,
        name: str,
        open_content: Callable[[], AbstractContextManager[Iterator[bytes]]],
        metadata: Mapping[str, str],
    ) -> StoredBlob:
        """One content to one blob. A download that breaks off starts over: half of it counts for nothing."""
        short = {key: value[:MAX_METADATA_NAME] for key, value in metadata.items()}
        for attempt in range(1, CONTENT_TRIES + 1):
            try:
                with open_content() as blocks:
                    return self._blobs.store(name, self._while_owned(blocks), metadata=short)
            except ContentInterrupted as interrupted:
                log.info("content.interrupted", blob=name, attempt=attempt, cause=log.describe(interrupted))
                if attempt == CONTENT_TRIES:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _while_owned(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks; on the way the lease is kept alive, and its loss ends the upload."""
        for block in blocks:
            now = time.monotonic()
            if now - self._renewed_at > self._claim.lease_seconds / 3:
                self._records.renew(self._claim)
                self._renewed_at = now
            yield block


def _original_as_document(message: Message, original: StoredBlob) -> Part:
    return Part(
        position=0,
        name=f"{message.subject or 'E-Mail'}.eml",
        declared_type="message/rfc822",
        disposition=Disposition.DOCUMENT,
        reason="mail_without_documents",
        blob=original,
    )
