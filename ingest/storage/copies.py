"""Copies: a message with its parts and documents, as one tenant has it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

from ingest.codes import RULES_VERSION, Disposition, HeldReason
from ingest.errors import LeaseLost
from ingest.model.answer import Answer
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim
from ingest.model.copy import SavedCopy
from ingest.model.message import Message, OriginalForm
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.storage.answers import answer_parameters
from ingest.storage.database import Connection, Database, as_text
from ingest.storage.search_words import words_of
from ingest.storage.tenants import Tenants


class Copies:
    """The copies of all tenants; each is written in the context of its tenant."""

    def __init__(
        self, database: Database, tenants: Tenants, *, scanned: bool = False, hidden_until_clean: bool = False
    ) -> None:
        """`scanned`: a scanner for malware gets the documents. `hidden_until_clean`: the DMS sees them after that."""
        self._database = database
        self._tenants = tenants
        self._scanned = scanned
        self._hidden = hidden_until_clean

    INSERT_MESSAGE = """
    insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at,
        dmarc, spf, dkim, arc, compauth, compauth_reason, sender_authenticated, sender_proven, sender_address, purpose,
        container, blob_name, size, sha256, original, rules_version, search)
    values (%(claim)s, %(tenant)s, %(internet_message_id)s, %(subject)s, %(sender)s, %(trigger)s, %(received_at)s,
        %(dmarc)s, %(spf)s, %(dkim)s, %(arc)s, %(compauth)s, %(compauth_reason)s, %(sender_authenticated)s,
        %(sender_proven)s, %(sender_address)s, %(purpose)s,
        %(container)s, %(blob_name)s, %(size)s, %(sha256)s, %(form)s, %(rules_version)s,
        to_tsvector('simple', %(words)s))
    on conflict (claim_id, tenant_id) do nothing
    returning id, held_reason
    """

    INSERT_PART = """
    with part as (
        insert into ingest.part (message_id, tenant_id, position, parent, disposition, reason, name, declared_type,
            detected_type, type_mismatch, encrypted, active_content, related, size, sha256, blob_name)
        values (%(message)s, %(tenant)s, %(position)s, %(parent)s, %(disposition)s, %(reason)s, %(name)s,
            %(declared_type)s, %(detected_type)s, %(type_mismatch)s, %(encrypted)s, %(active_content)s, %(related)s,
            %(size)s, %(sha256)s, %(blob_name)s)
        returning id, message_id, tenant_id
    )
    insert into ingest.document (id, tenant_id, message_id, part_id, name, content_type, encrypted, active_content,
        size, sha256, container, blob_name, related_id, invoice_kind, invoice_profile, invoice_number,
        invoice_issue_date, invoice_seller, invoice_total, invoice_currency, invoice_problem)
    select %(document)s, tenant_id, message_id, id, %(name)s, %(content_type)s, %(encrypted)s, %(active_content)s,
        %(size)s, %(sha256)s, %(container)s, %(blob_name)s, %(related_document)s, %(invoice_kind)s,
        %(invoice_profile)s, %(invoice_number)s, %(invoice_issue_date)s, %(invoice_seller)s, %(invoice_total)s,
        %(invoice_currency)s, %(invoice_problem)s
    from part where %(disposition)s = 'document'
    """

    QUEUE_ANSWER = "select ingest.queue_answer(%(claim)s, %(kinds)s, %(recipient)s, %(quoted)s)"

    AWAIT_SCAN = "select ingest.await_scan(%(message)s, %(hidden)s)"

    # Last in the transaction: the copies of a tenant wait for each other from here to the commit, and no longer.
    COUNT = "select ingest.count_mail()"

    LINK = "select ingest.link_copy(%(claim)s, %(header)s, %(sha256)s, %(trigger)s, %(received_at)s) as linked"

    def link(self, claim: Claim, message: Message, sha256: str, *, last: bool) -> bool:
        """Link the message to an earlier copy of the same mail, where the context's tenant has one; return whether.

        The same mail: Message-ID and `sha256` of the original are on record for the tenant under another claim. With
        the `last` tenant's link the claim becomes STORED in the same transaction. Raises as `save`.
        """
        if message.internet_message_id is None:
            return False
        with self._database.connection("link") as connection, connection.pipeline(), connection.transaction():
            self._tenants.enter(connection, claim)
            row = connection.execute(self.LINK, _link_parameters(claim, message, sha256)).fetchone()
            if row is None or not row["linked"]:
                return False
            self._commit(connection, claim, message, new=True, last=last)
        return True

    RECORDED_BLOBS = "select container, blob_name, size, sha256 from ingest.recorded_blobs(%(claim)s)"

    def recorded_blobs(self, claim: Claim) -> Sequence[StoredBlob]:
        """Return the blobs that the copy of the context's tenant names: those of the first copy, where it is a link.

        Raises DatabaseUnavailable, and RuntimeError outside of `tenant_context`.
        """
        with self._database.connection("recorded_blobs") as connection, connection.pipeline(), connection.transaction():
            self._tenants.enter(connection, claim)
            rows = connection.execute(self.RECORDED_BLOBS, {"claim": claim.id}).fetchall()
        return [
            StoredBlob(container=row["container"], name=row["blob_name"], size=row["size"], sha256=row["sha256"])
            for row in rows
        ]

    # The caller says which copy is the last one. A count of copies could not: the addressed tenants can change
    # between two attempts.
    COMMIT = """
    update ingest.claim
    set copies = copies + %(new)s,
        state = case when %(last)s then 'stored' else state end,
        lease_until = now() + %(lease)s * interval '1 second',
        received_at = %(received_at)s, reason = null
    where id = %(id)s and fence = %(fence)s
    returning id
    """

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
        """Write the message, its parts and its documents for the tenant of the context, in one transaction.

        With the `last` tenant's copy the claim becomes STORED in the same transaction. A copy that this tenant has
        already is left as it is. The same mail that was saved under another claim meanwhile is linked. `answer` is
        queued, where the tenant wants one. Raises LeaseLost: then nothing was written. Raises DatabaseUnavailable, and
        RuntimeError outside of `tenant_context`.
        """
        # In a pipeline, statements without an awaited result share a round trip.
        with self._database.connection("save") as connection, connection.pipeline(), connection.transaction():
            tenant = self._tenants.enter(connection, claim)
            link = None
            if message.internet_message_id is not None and message.form is OriginalForm.MIME:
                # Holds a lock to the end of the transaction: of two claims of the same mail, the second one waits.
                link = connection.execute(self.LINK, _link_parameters(claim, message, original.sha256))
            row = connection.execute(
                self.INSERT_MESSAGE,
                {
                    "claim": claim.id,
                    "tenant": tenant.id,
                    "internet_message_id": as_text(message.internet_message_id),
                    "subject": as_text(message.subject),
                    "sender": as_text(message.sender),
                    "trigger": claim.ref.trigger,
                    "received_at": message.received_at,
                    **asdict(message.authentication),
                    "sender_address": as_text(message.authentication.sender_address),
                    "purpose": tenant.purpose,
                    "container": original.container,
                    "blob_name": original.name,
                    "size": original.size,
                    "sha256": original.sha256,
                    "form": message.form,
                    "rules_version": RULES_VERSION,
                    "words": as_text(words_of(_texts(message, parts))),
                },
            ).fetchone()
            if row is not None:
                with connection.cursor() as cursor:
                    cursor.executemany(self.INSERT_PART, rows_of(parts, message_id=row["id"], tenant=tenant))
                if self._scanned:
                    connection.execute(self.AWAIT_SCAN, {"message": row["id"], "hidden": self._hidden})
                if answer is not None:
                    connection.execute(self.QUEUE_ANSWER, answer_parameters(claim, answer))
            linked = bool(link is not None and (link.fetchone() or {})["linked"])
            self._commit(connection, claim, message, new=linked or row is not None, last=last)
            if row is not None:
                connection.execute(self.COUNT)
        held = None if row is None else row["held_reason"]
        return SavedCopy(new=row is not None, linked=linked, held=HeldReason(held) if held else None)

    def _commit(self, connection: Connection, claim: Claim, message: Message, *, new: bool, last: bool) -> None:
        ours = connection.execute(
            self.COMMIT,
            {
                "id": claim.id,
                "fence": claim.fence,
                "lease": claim.lease_seconds,
                "new": int(new),
                "last": last,
                "received_at": message.received_at,
            },
        ).fetchone()
        if ours is None:
            raise LeaseLost("the message was taken over before it was saved")


def _link_parameters(claim: Claim, message: Message, sha256: str) -> dict[str, object]:
    return {
        "claim": claim.id,
        "header": as_text(message.internet_message_id),
        "sha256": sha256,
        "trigger": claim.ref.trigger,
        "received_at": message.received_at,
    }


def _texts(message: Message, parts: Sequence[Part]) -> Iterator[str | None]:
    """Yield the texts by which people look for a mail."""
    yield from (message.subject, message.sender, message.internet_message_id)
    for part in parts:
        yield part.name
        if part.invoice is not None:
            yield from (part.invoice.number, part.invoice.seller)


def rows_of(
    parts: Sequence[Part], *, message_id: int, tenant: Tenant, documents: Mapping[int, UUID] | None = None
) -> list[dict[str, object]]:
    """Return the parameters of INSERT_PART for each part.

    Documents get their ids here: one may point to a later one. `documents`: ids that are kept, by position.
    """
    new = {part.position: new_document_id() for part in parts if part.disposition is Disposition.DOCUMENT}
    documents = new | dict(documents or {})
    return [
        {
            **_columns(part),
            "message": message_id,
            "tenant": tenant.id,
            "document": documents.get(part.position),
            "related_document": None if part.related is None else documents.get(part.related),
        }
        for part in parts
    ]


def new_document_id() -> UUID:
    """Return a new id of a document: a UUID of version 7, which begins with the time in milliseconds.

    Ids of one time are neighbours in an index. Random ones lie on a page of their own each: beside a million documents
    each insert read two cold pages, and wrote both to the log. RFC 9562, section 5.7.
    """
    milliseconds, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    version = 7 << 76 | (random >> 62) << 64
    variant = 0b10 << 62 | random & (1 << 62) - 1
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80 | version | variant)


def _columns(part: Part) -> dict[str, object]:
    invoice = part.invoice
    return {
        "position": part.position,
        "parent": part.parent,
        "disposition": part.disposition,
        "reason": part.rule,
        "name": as_text(part.name),
        "declared_type": as_text(part.declared_type),
        "detected_type": part.detected_type,
        "content_type": as_text(part.content_type),
        "type_mismatch": part.type_mismatch,
        "encrypted": part.encrypted,
        "active_content": [str(kind) for kind in part.active_content],
        "related": part.related,
        "size": part.size,
        "sha256": part.sha256,
        "container": part.blob.container if part.blob else None,
        "blob_name": part.blob.name if part.blob else None,
        "invoice_kind": invoice.kind if invoice else None,
        "invoice_profile": as_text(invoice.profile) if invoice else None,
        "invoice_number": as_text(invoice.number) if invoice else None,
        "invoice_issue_date": invoice.issue_date if invoice else None,
        "invoice_seller": as_text(invoice.seller) if invoice else None,
        "invoice_total": invoice.total if invoice else None,
        "invoice_currency": invoice.currency if invoice else None,
        "invoice_problem": as_text(invoice.problem) if invoice else None,
    }
