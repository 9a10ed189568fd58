"""The history of one mail, from its claim, from each tenant's copy, and from its rejections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from ingest.codes import Verdict
from operations.database import connect, rows_as
from operations.inspection import SELECT_CLAIM, ClaimRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A tenant's copy of a mail. `size` in bytes, `sha256` in hex, both of the original.

    `original`: the OriginalForm. `duplicate_of`: the id of the copy that this one is linked to, and that has the parts.
    """

    id: int
    tenant_id: int | UUID
    tenant: str | None
    internet_message_id: str | None
    subject: str = field(repr=False)
    sender: str = field(repr=False)
    trigger: str
    received_at: datetime
    stored_at: datetime
    rules_version: int | None
    container: str
    blob_name: str
    size: int
    sha256: str
    original: str
    dmarc: str | None
    spf: str | None
    dkim: str | None
    arc: str | None
    compauth: str | None
    compauth_reason: str | None
    sender_authenticated: bool | None
    sender_proven: bool | None = None
    purpose: str | None = None
    held_reason: str | None = None
    duplicate_of: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A mail that went to Quarantine, as one tenant's. `tenant_id` is None where the mail names no tenant."""

    tenant_id: int | UUID | None
    tenant: str | None
    reason: str
    internet_message_id: str | None
    subject: str = field(repr=False)
    sender: str = field(repr=False)
    received_at: datetime
    rejected_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MailRecord:
    """A mail: its claim, each tenant's copy, and each rejection, the newest rejection first."""

    claim: ClaimRecord
    copies: Sequence[Copy] = ()
    rejections: Sequence[Rejection] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRecord:
    """A part of a copy, with its document where it became one. `depth`: containers around it."""

    id: int
    position: int
    parent: int | None
    depth: int
    disposition: str
    reason: str | None
    name: str = field(repr=False)
    declared_type: str | None
    detected_type: str | None
    type_mismatch: bool
    encrypted: bool
    size: int | None
    sha256: str | None
    blob_name: str | None
    document_id: UUID | None
    content_type: str | None
    invoice_kind: str | None
    invoice_number: str | None = field(repr=False)
    invoice_issue_date: date | None
    invoice_seller: str | None = field(repr=False)
    invoice_total: Decimal | None = field(repr=False)
    invoice_currency: str | None
    invoice_problem: str | None = field(repr=False)
    malware_verdict: str | None
    malware: list[str] | None
    withheld: list[str] | None

    @property
    def malicious(self) -> bool:
        """True where a scanner found malware in the part's blob, or in the same content elsewhere."""
        return self.malware_verdict == Verdict.MALICIOUS or "malicious" in (self.withheld or ())


@dataclass(frozen=True, kw_only=True, slots=True)
class PassedOverTenant:
    """An address of a mail that brought no copy: the tenant, None for an address of no tenant, and `why`."""

    tenant_id: int | UUID | None
    tenant: str | None
    why: str
    noted_at: datetime


_CLAIM: LiteralString = SELECT_CLAIM + "where id = %(number)s"
_COPIES: LiteralString = """
select message.id, message.tenant_id, tenant.name as tenant, internet_message_id, subject, sender,
    trigger, received_at, stored_at, rules_version, container, blob_name, size, sha256, original, duplicate_of, dmarc,
    spf, dkim, arc, compauth, compauth_reason, sender_authenticated, sender_proven, purpose, held_reason
from ingest.message left join ingest.tenant_name as tenant on tenant.id = message.tenant_id
where claim_id = %(number)s order by message.id
"""
_PASSED_OVER: LiteralString = "select * from ingest.passed_over_by(%(number)s)"
_REJECTIONS: LiteralString = """
select rejection.tenant_id, tenant.name as tenant, reason, internet_message_id, subject, sender, received_at,
    rejected_at
from ingest.rejection left join ingest.tenant_name as tenant on tenant.id = rejection.tenant_id
where claim_id = %(number)s order by rejected_at desc, rejection.id desc
"""
_PARTS: LiteralString = """
with recursive placed as (
    select part.*, 0 as depth from ingest.part where message_id = %(copy)s and parent is null
    union all
    select part.*, placed.depth + 1 from ingest.part join placed
        on part.message_id = placed.message_id and part.parent = placed.position
)
select placed.id, placed.position, placed.parent, placed.depth, placed.disposition, placed.reason, placed.name,
    placed.declared_type, placed.detected_type, placed.type_mismatch, placed.encrypted, placed.size, placed.sha256,
    placed.blob_name, document.id as document_id, document.content_type, document.invoice_kind,
    document.invoice_number, document.invoice_issue_date, document.invoice_seller, document.invoice_total,
    document.invoice_currency, document.invoice_problem, scan.verdict as malware_verdict, scan.malware,
    (
        select array_agg(reason order by reason) from ingest.withheld
        where withheld.document_id = document.id and released_at is null
    ) as withheld
from placed join ingest.message on message.id = placed.message_id
left join ingest.document on document.part_id = placed.id
left join ingest.scan on scan.blob_name = placed.blob_name and scan.container = message.container
order by placed.position
"""


class Histories:
    """The mails of one database, read with its reader's or owner's rights. Every call may raise OperatorError."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def mail(self, number: int) -> MailRecord | None:
        """Return a mail; None where there is no such number."""
        with connect(self._url) as connection:
            claim = next(iter(rows_as(connection, ClaimRecord, _CLAIM, {"number": number})), None)
            if claim is None:
                return None
            stored = rows_as(connection, Copy, _COPIES, {"number": number})
            rejected = rows_as(connection, Rejection, _REJECTIONS, {"number": number})
        return MailRecord(claim=claim, copies=stored, rejections=rejected)

    def passed_over(self, number: int) -> list[PassedOverTenant]:
        """Return the addressed tenants that got no copy of a mail, in the order of the addresses."""
        with connect(self._url) as connection:
            return rows_as(connection, PassedOverTenant, _PASSED_OVER, {"number": number})

    def parts(self, copy: int) -> list[PartRecord]:
        """Return the parts of a copy, each container before its contents."""
        with connect(self._url) as connection:
            return rows_as(connection, PartRecord, _PARTS, {"copy": copy})
