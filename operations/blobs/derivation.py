"""Parts and documents derived again from the stored originals, without Graph, and compared with the record.

`messages verify --derive` proves that each recorded part is in its original. `messages rebuild` shows the documents
that the rules of today find, and adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

from ingest.codes import RULES_VERSION, Disposition, Rule
from ingest.documents.budget import Budget
from ingest.documents.spool import Spool
from ingest.errors import BlobMissing, ContentInterrupted, OperatorError
from ingest.filing import FilingOptions, derive_parts, place_of
from ingest.model.blob import StoredBlob
from ingest.model.message import OriginalForm
from ingest.model.message_ref import MessageRef
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.original import MimeOriginal, message_of, read_header
from ingest.ports import UPLOAD_BLOCK
from ingest.settings import BodyMode
from ingest.storage.copies import Copies, rows_of
from ingest.storage.database import Connection
from ingest.storage.search_words import words_of
from operations.audit import Account, record_action
from operations.blobs.verification import must_see_all
from operations.database import connect, rows_as

if TYPE_CHECKING:  # heavy, and not needed by a command that opens no blob
    from ingest.storage.blobs import BlobStore

# A linked copy has no parts of its own: those of its first copy are derived.
COPIES: LiteralString = """
select message.id, message.claim_id as number, message.tenant_id, claim.mailbox, claim.message_id,
    message.received_at, message.container, message.blob_name, message.size, message.sha256, message.original
from ingest.message join ingest.claim on claim.id = message.claim_id
where message.duplicate_of is null and (%(number)s::bigint is null or message.claim_id = %(number)s)
order by message.id
"""
_COUNT: LiteralString = f"with found as ({COPIES}) select count(*) as copies from found"  # noqa: S608 - both are ours
_PARTS: LiteralString = """
select part.position, part.disposition, part.reason, part.name, part.sha256, part.blob_name, document.id as document
from ingest.part left join ingest.document on document.part_id = part.id
where part.message_id = %(message)s order by part.position
"""
_OPEN: LiteralString = "select ingest.open_tenant(%(tenant)s)"
# Before the rows below the message, as everywhere: a decision on a held mail and retention wait for the rebuild.
_LOCK: LiteralString = "select ending from ingest.message where id = %(message)s for update"
MEET_VERDICTS: LiteralString = "select ingest.meet_verdicts_on(%(message)s)"
_DELETE_DOCUMENTS: LiteralString = "delete from ingest.document where message_id = %(message)s"
_DELETE_PARTS: LiteralString = "delete from ingest.part where message_id = %(message)s"
_TEXTS: LiteralString = """
select array[subject, sender, internet_message_id] as of_mail,
    array(select name from ingest.part where part.message_id = message.id order by position) as names,
    array(
        select text from ingest.document, unnest(array[invoice_number, invoice_seller]) as text
        where document.message_id = message.id
    ) as of_invoices
from ingest.message where id = %(message)s
"""
# A linked copy is found by the words of its first copy.
_SEARCH: LiteralString = """
update ingest.message set search = to_tsvector('simple', %(words)s) where %(message)s in (id, duplicate_of)
"""
_VERSION: LiteralString = "update ingest.message set rules_version = %(version)s where id = %(message)s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A tenant's copy of a mail, as on record. `number`: the message's."""

    id: int
    number: int
    tenant_id: int | UUID
    mailbox: str
    message_id: str
    received_at: datetime
    container: str
    blob_name: str
    size: int
    sha256: str
    original: OriginalForm


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedPart:
    """A part, as on record."""

    position: int
    disposition: str
    reason: str
    name: str = field(repr=False)
    sha256: str | None
    blob_name: str | None
    document: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A copy beside the parts that its original has by the rules of today.

    `derived`: all parts by the rules. `found`: documents that are not on record. `lost`: documents on record that the
    rules do not find as documents. `unproved`: recorded contents that are not in the original. `problem`: the reason
    for which nothing could be derived. Not `derivable`: the original is Graph's message, without its attachments.
    """

    copy: Copy
    recorded: Sequence[RecordedPart] = ()
    derived: Sequence[Part] = ()
    found: Sequence[Part] = ()
    lost: Sequence[RecordedPart] = ()
    unproved: Sequence[RecordedPart] = ()
    problem: str | None = None
    derivable: bool = True


class Derivation:
    """The copies of one message, or of all, and their originals. Every call may raise OperatorError."""

    def __init__(
        self,
        database_url: str,
        *,
        container: Callable[[str], BlobStore],
        options: FilingOptions,
        number: int | None,
        upload: bool = False,
        scan: bool | None = None,
    ) -> None:
        """`container` opens a container by its name. `number`: the message's, None for all.

        `upload`: contents that are not on record are stored, ready for `add` and `replace`. `scan`: None where no
        scanner for malware gets new documents, else whether the DMS sees them only after that.
        """
        self._scan = scan
        self._upload = upload
        self._url = database_url
        self._container = container
        self._options = replace(options, body=BodyMode.ALWAYS)  # the body is proved, too
        self._parameters: Mapping[str, object] = {"number": number}

    def count(self) -> int:
        """Return the number of copies."""
        with connect(self._url) as connection:
            must_see_all(connection)
            row = connection.execute(_COUNT, self._parameters).fetchone()
            return int(row["copies"]) if row else 0

    def comparisons(self) -> Iterator[Comparison]:
        """Yield one comparison for each copy. Raises BlobUnavailable."""
        with connect(self._url) as connection:
            must_see_all(connection)
            copies = rows_as(connection, Copy, COPIES, self._parameters)
        for copy in copies:
            yield self._compare(copy)

    def add(self, comparison: Comparison, account: Account) -> None:
        """Put the found documents on record, behind the recorded parts. The rest of the record stays as it is.

        Needs the rights of the tables' owner.
        """
        behind = max((part.position for part in comparison.recorded), default=0)
        parts = [
            replace(part, position=behind + number, parent=None, related=None)
            for number, part in enumerate(comparison.found, start=1)
        ]
        with connect(self._url) as connection:
            _must_be_as_compared(connection, comparison)
            self._insert(connection, comparison.copy, parts, documents={})
            _record(connection, comparison, account, lost=0)

    def replace(self, comparison: Comparison, account: Account) -> None:
        """Put the derived parts on record in the place of the recorded ones. Documents of equal content keep their ids.

        Needs the rights of the tables' owner.
        """
        copy = comparison.copy
        kept = {part.sha256: part.document for part in comparison.recorded if part.document is not None}
        documents = {
            part.position: kept.pop(part.sha256)
            for part in comparison.derived
            if part.disposition is Disposition.DOCUMENT and part.sha256 in kept
        }
        with connect(self._url) as connection:
            _must_be_as_compared(connection, comparison)
            connection.execute(_DELETE_DOCUMENTS, {"message": copy.id})
            connection.execute(_DELETE_PARTS, {"message": copy.id})
            self._insert(connection, copy, comparison.derived, documents=documents)
            _record(connection, comparison, account, lost=len(comparison.lost))

    def _insert(
        self, connection: Connection, copy: Copy, parts: Sequence[Part], *, documents: Mapping[int, UUID]
    ) -> None:
        rows = rows_of(parts, message_id=copy.id, tenant=Tenant(id=copy.tenant_id), documents=documents)
        with connection.cursor() as cursor:
            cursor.executemany(Copies.INSERT_PART, rows)
        if self._scan is not None:
            connection.execute(Copies.AWAIT_SCAN, {"message": copy.id, "hidden": self._scan})
        connection.execute(_VERSION, {"message": copy.id, "version": RULES_VERSION})
        texts = connection.execute(_TEXTS, {"message": copy.id}).fetchone() or {}
        words = words_of((*texts["of_mail"], *texts["names"], *texts["of_invoices"]))
        connection.execute(_SEARCH, {"message": copy.id, "words": words})

    def _compare(self, copy: Copy) -> Comparison:
        if copy.original != OriginalForm.MIME:
            return Comparison(copy=copy, derivable=False)
        with connect(self._url) as connection:
            recorded = rows_as(connection, RecordedPart, _PARTS, {"message": copy.id})
        try:
            derived = self._derive(copy, recorded)
        except BlobMissing:
            return Comparison(copy=copy, problem="the original is missing")
        except ContentInterrupted:
            return Comparison(copy=copy, problem="the original is not the one on record")
        return _compared(copy, recorded, derived)

    def _derive(self, copy: Copy, recorded: Sequence[RecordedPart]) -> Sequence[Part]:
        container = self._container(copy.container)
        names = {part.sha256: part.blob_name for part in recorded if part.blob_name is not None}
        with Spool() as spool:
            spool.fill(container.read(copy.blob_name))
            if spool.sha256 != copy.sha256:
                raise ContentInterrupted("another content")
            headers, _ = read_header(spool.blocks())
            ref = MessageRef(mailbox=copy.mailbox, message_id=copy.message_id)
            message = message_of(ref, headers, copy.received_at)
            original = MimeOriginal(message=message, headers=headers, spool=spool)
            stored = StoredBlob(container=copy.container, name=copy.blob_name, size=copy.size, sha256=copy.sha256)

            def store(path: tuple[int, ...], _name: str, content: Spool) -> StoredBlob:
                name = names.get(content.sha256)
                if name is None:
                    name = _name_of_new_blob(copy, path, content)
                    if self._upload:
                        blocks = content.upload(UPLOAD_BLOCK)
                        return container.store(name, blocks, size=content.size, sha256=content.sha256)
                return StoredBlob(container=copy.container, name=name, size=content.size, sha256=content.sha256)

            budget = Budget(self._options.limits)
            return derive_parts(original, stored, options=self._options, budget=budget, store=store)


def _must_be_as_compared(connection: Connection, comparison: Comparison) -> None:
    """Open the tenant, and lock the copy to the end of the transaction.

    Raises OperatorError where the record is not the compared one any more: after another rebuild, documents would get
    other ids, and the blobs of a copy that retention deletes would stay for ever.
    """
    connection.execute(_OPEN, {"tenant": comparison.copy.tenant_id})
    found = connection.execute(_LOCK, {"message": comparison.copy.id}).fetchone()
    recorded = rows_as(connection, RecordedPart, _PARTS, {"message": comparison.copy.id})
    if found is None or found["ending"] or recorded != list(comparison.recorded):
        raise OperatorError(
            f"The record of message {comparison.copy.number} has changed since it was compared: run the command again."
        )
    connection.execute(MEET_VERDICTS, {"message": comparison.copy.id})


def _record(connection: Connection, comparison: Comparison, account: Account, *, lost: int) -> None:
    """Record the rebuild in its own transaction. `lost`: documents that went off the record."""
    details = {"tenant": str(comparison.copy.tenant_id), "found": len(comparison.found), "lost": lost}
    record_action(connection, "message.rebuild", f"message {comparison.copy.number}", account, details=details)


def _name_of_new_blob(copy: Copy, path: tuple[int, ...], content: Spool) -> str:
    """Return a name below the original's folder that no earlier version of the rules gave to another content."""
    return f"{copy.blob_name.rpartition('/')[0]}/{place_of(path)}.{content.sha256}"


def _compared(copy: Copy, recorded: Sequence[RecordedPart], derived: Sequence[Part]) -> Comparison:
    documents = {part.sha256 for part in derived if part.disposition is Disposition.DOCUMENT}
    on_record = {part.sha256 for part in recorded if part.document is not None}
    contents = {part.sha256 for part in derived} | {copy.sha256}
    return Comparison(
        copy=copy,
        recorded=recorded,
        derived=[part for part in derived if part.rule is not Rule.BODY or part.sha256 in on_record],
        found=[
            part
            for part in derived
            if part.disposition is Disposition.DOCUMENT and part.sha256 not in on_record and part.rule is not Rule.BODY
        ],
        lost=[part for part in recorded if part.document is not None and part.sha256 not in documents],
        unproved=[part for part in recorded if part.blob_name is not None and part.sha256 not in contents],
    )
