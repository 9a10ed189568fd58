"""One mail into one tenant's storage: the original, every part, and their records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from ingest import log
from ingest.answers import answer_to_stored
from ingest.codes import Disposition, Rule
from ingest.documents.blocked_types import Blocking
from ingest.documents.budget import Budget, Lane
from ingest.documents.pdf.findings import ReadObjects
from ingest.documents.pdf.reading import read_objects_here
from ingest.documents.rules import decide_mail_without_documents
from ingest.documents.sorting import Sorter, Store
from ingest.documents.spool import Spool
from ingest.errors import BlobMissing
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim
from ingest.model.limits import Limits
from ingest.model.message import Message, OriginalForm
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.original import Original
from ingest.ports import UPLOAD_BLOCK, Blobs, Copies
from ingest.settings import BodyMode
from ingest.transfer import Transfer

ORIGINAL_POSITION, BODY_POSITION = 0, -1  # of the two documents that are no attachments; attachments count from 1
MAX_METADATA_NAME = 255  # characters of a file name in the blob's metadata; Postgres has the whole name
JUST_ARRIVED = timedelta(minutes=10)  # a mail this young is not looked for among the earlier copies before its upload
BODY_PATH = ()  # the body's place in the tree of parts


@dataclass(frozen=True, kw_only=True, slots=True)
class FilingOptions:
    """The limits of unpacking, storing the body, the reader of PDFs, the lane of costly mails, and blocked files."""

    limits: Limits = field(default_factory=Limits)
    body: BodyMode = BodyMode.NEVER
    read_objects: ReadObjects = read_objects_here
    lane: Lane = field(default_factory=Lane)
    blocking: Blocking = field(default_factory=Blocking)


class Filing:
    """The filing of one claimed mail. The claim goes into the last step, so that only its owner commits."""

    def __init__(
        self, claim: Claim, *, transfer: Transfer, options: FilingOptions, blobs: Blobs, copies: Copies
    ) -> None:
        self._claim = claim
        self._transfer = transfer
        self._options = options
        self._blobs = blobs
        self._copies = copies

    def process_email_message(self, original: Original, tenant: Tenant, *, last: bool) -> int:
        """Store the original and all parts in Blob and their rows in one transaction; return the number of documents.

        An earlier copy of the same mail has the documents: then the message is linked, and brings none.
        Runs inside `tenant_context(tenant)`. `last`: no other tenant gets a copy after this one. Can be repeated: a
        blob's name follows from tenant, message, the original's hash and the part's place in the original, and a blob
        that exists is not written again. Raises Later, NotFound, Rejected, Defect.
        """
        # The hash is in the name: Graph generates the MIME anew for each read, and the next attempt may get others.
        folder = f"{tenant.id}/{original.message.ref.key}/{original.spool.sha256}"
        if _may_have_come_before(original.message) and self._copies.link(
            self._claim, original.message, original.spool.sha256, last=last
        ):
            return self._linked(original)
        written: set[StoredBlob] = set()

        def store(path: tuple[int, ...], name: str, content: Spool) -> StoredBlob:
            place = _name_below_original(path, original.message.form, content)
            blob = self._upload(f"{folder}/{place}", content, {"name": name})
            written.add(blob)
            return blob

        name = f"{folder}/original.{original.message.form.extension}"
        stored = self._upload(name, original.spool, {"subject": original.message.subject})
        written.add(stored)
        budget = Budget(self._options.limits, keep_alive=self._transfer.keep_alive, pace=self._transfer.pace)
        parts = derive_parts(original, stored, options=self._options, budget=budget, store=store)
        answer = answer_to_stored(original.message.answer_target, parts)
        saved = self._copies.save(self._claim, original.message, stored, parts, last=last, answer=answer)
        if saved.linked:
            return self._linked(original)
        if not saved.new:
            self._must_be_stored(original, written=written)
        if saved.held is not None:
            log.info("message.held", message=original.message.ref.message_id, tenant=tenant.id, reason=saved.held)
        return sum(part.disposition is Disposition.DOCUMENT for part in parts)

    def _linked(self, original: Original) -> int:
        """Log that an earlier copy has the parts, and prove its blobs; return the number of new documents."""
        log.info("message.linked", message=original.message.ref.message_id)
        self._must_be_stored(original)
        return 0

    def _must_be_stored(self, original: Original, *, written: Collection[StoredBlob] = ()) -> None:
        """Prove the blobs that the record names, but for those that this attempt has `written`; store lost ones again.

        The record is older than this attempt, and the message is deleted next: with the message goes the last original.
        Raises BlobMissing where the message does not hold a lost content.
        """
        older = [blob for blob in self._copies.recorded_blobs(self._claim) if blob not in written]
        lost = [blob for blob in older if not self._transfer.request(partial(self._blobs.holds, blob))]
        if not lost:
            return
        log.warning("blobs.lost", message=original.message.ref.message_id, blobs=len(lost))
        by_hash: dict[str, list[StoredBlob]] = {}
        for blob in lost:
            by_hash.setdefault(blob.sha256, []).append(blob)

        def store(_path: tuple[int, ...], name: str, content: Spool) -> StoredBlob:
            for blob in by_hash.pop(content.sha256, ()):
                self._upload(blob.name, content, {"name": name})
            return StoredBlob(container=lost[0].container, name="", size=content.size, sha256=content.sha256)

        stored = store((), original.message.subject, original.spool)
        if by_hash:
            budget = Budget(self._options.limits, keep_alive=self._transfer.keep_alive, pace=self._transfer.pace)
            options = replace(self._options, body=BodyMode.ALWAYS)  # a body on record is looked for, too
            derive_parts(original, stored, options=options, budget=budget, store=store)
        if by_hash:
            raise BlobMissing(f"{len(by_hash)} contents on record are lost, and the mail does not hold them any more")

    def _upload(self, name: str, content: Spool, metadata: Mapping[str, str]) -> StoredBlob:
        short = {key: value[:MAX_METADATA_NAME] for key, value in metadata.items()}
        store = partial(self._blobs.store, name, size=content.size, sha256=content.sha256, metadata=short)
        return self._transfer.upload(content.upload(UPLOAD_BLOCK), store)


def _may_have_come_before(message: Message) -> bool:
    """Return whether to look for an earlier copy before anything is uploaded.

    A mail that a person moved in Outlook may come back under a new id, with its old time of arrival. A mail that has
    just arrived is spared the look: `save` links it to an earlier copy all the same, and its blobs are left without a
    record. A hash fixes a mail read as MIME only.
    """
    return message.form is OriginalForm.MIME and datetime.now(UTC) - message.received_at > JUST_ARRIVED


def derive_parts(
    original: Original, stored: StoredBlob, *, options: FilingOptions, budget: Budget, store: Store
) -> tuple[Part, ...]:
    """Return all parts of an original, each with its fate. `store` puts a content to Blob.

    `stored` is the original's own blob: a mail without another document is one itself, if a person wrote the mail.
    """
    sorter = Sorter(
        limits=options.limits,
        budget=budget,
        store=store,
        read_objects=options.read_objects,
        blocking=options.blocking,
    )
    shut = original.sort(sorter, budget)
    parts = sorter.parts()
    if shut is not None or not any(part.disposition is Disposition.DOCUMENT for part in parts):
        parts = (*parts, _original_as_part(original, stored, shut))
    if options.body is BodyMode.ALWAYS and (body := _body(original, options, budget, store)) is not None:
        parts = (*parts, body)
    return parts


def _body(original: Original, options: FilingOptions, budget: Budget, store: Store) -> Part | None:
    with original.spool.charged_to(budget):
        body = original.body(max_parts=options.limits.parts)
    if body is None:
        return None
    name = f"{original.message.subject or 'E-Mail'}.{body.extension}"
    with Spool() as content:
        content.fill(body.content())
        blob = store(BODY_PATH, name, content)
    return Part(
        position=BODY_POSITION,
        name=name,
        declared_type=body.declared_type,
        detected_type=body.detected_type,
        disposition=Disposition.DOCUMENT,
        rule=Rule.BODY,
        size=blob.size,
        sha256=blob.sha256,
        blob=blob,
    )


def _original_as_part(original: Original, stored: StoredBlob, shut: Rule | None) -> Part:
    """Return the original as a part. `shut`: the rule by which the original stays shut and is a document."""
    disposition, rule = (
        decide_mail_without_documents(original.headers) if shut is None else (Disposition.DOCUMENT, shut)
    )
    media_type = original.message.form.media_type
    return Part(
        position=ORIGINAL_POSITION,
        name=f"{original.message.subject or 'E-Mail'}.{original.message.form.extension}",
        declared_type=media_type,
        detected_type=media_type,
        disposition=disposition,
        rule=rule,
        size=stored.size,
        sha256=stored.sha256,
        blob=stored if disposition is Disposition.DOCUMENT else None,
    )


def _name_below_original(path: tuple[int, ...], form: OriginalForm, content: Spool) -> str:
    """Return a part's name below its original: its place, such as `002.001`, with its own hash where that is needed.

    Graph's attachments are downloads of their own, and the hash of the JSON does not fix their bytes.
    """
    return place_of(path) if form is OriginalForm.MIME else f"{place_of(path)}.{content.sha256}"


def place_of(path: tuple[int, ...]) -> str:
    """Return a part's place in the tree of parts as blob names have it: `002.001`, or `body` for BODY_PATH."""
    return ".".join(f"{number:03d}" for number in path) or "body"
