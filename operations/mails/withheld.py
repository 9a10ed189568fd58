"""Documents that the DMS does not see, and their release, with an operator's rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from ingest.errors import OperatorError
from operations.audit import Account
from operations.database import connect, rows_as

_LIST: LiteralString = """
select withheld.document_id, withheld.tenant_id, tenant.name as tenant, message.claim_id as number, document.name,
    array_agg(withheld.reason order by withheld.reason) as reasons, min(withheld.since) as since,
    scan.verdict, scan.scanner, scan.malware, scan.said
from ingest.withheld
join ingest.document on document.id = withheld.document_id
join ingest.message on message.id = document.message_id
left join ingest.scan on scan.blob_name = document.blob_name and scan.container = document.container
left join ingest.tenant_name as tenant on tenant.id = withheld.tenant_id
where withheld.released_at is null
    and (%(number)s::bigint is null or message.claim_id = %(number)s)
group by withheld.document_id, withheld.tenant_id, tenant.name, message.claim_id, document.name, scan.verdict,
    scan.scanner, scan.malware, scan.said
having %(verdict)s::text is null or scan.verdict = %(verdict)s
    or %(verdict)s = 'malicious' and bool_or(withheld.reason = 'malicious')
order by min(withheld.since), withheld.document_id limit %(limit)s
"""
_TENANT: LiteralString = "select tenant_id from ingest.withheld where document_id = %(document)s limit 1"
_RELEASE: LiteralString = """
select ingest.release_document(%(document)s, %(tenant)s, %(why)s, %(remark)s) as released
"""
_WAITS: LiteralString = """
select from ingest.withheld where document_id = %(document)s and reason = 'sender' and released_at is null
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Withheld:
    """A document that the DMS does not see. `number`: of its mail. `said`: the reason of a scan that failed."""

    document_id: UUID
    tenant_id: int | UUID
    tenant: str | None
    number: int
    name: str = field(repr=False)
    reasons: list[str]
    since: datetime
    verdict: str | None
    scanner: str | None
    malware: list[str] | None
    said: str | None


class WithheldDocuments:
    """The withheld documents of one database. Every call may raise OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def all(self, *, number: int | None = None, verdict: str | None = None, limit: int) -> list[Withheld]:
        """Return those that wait longest, at most `limit`; of one mail, or with one verdict, where given."""
        parameters = {"number": number, "verdict": verdict, "limit": limit}
        with connect(self._url) as connection:
            return rows_as(connection, Withheld, _LIST, parameters)

    def release(self, document: UUID, account: Account) -> bool:
        """Release a document that the scan withholds, with any verdict, and record the action.

        Return True where the DMS sees the document now, False where the mail still waits for an approval of its sender.
        """
        with connect(self._url) as connection:
            row = connection.execute(_TENANT, {"document": document}).fetchone()
            if row is None:
                raise OperatorError(f"No document {document} is withheld.")
            values = {"document": document, "tenant": row["tenant_id"], **account.parameters}
            released = connection.execute(_RELEASE, values).fetchone()
            waits = connection.execute(_WAITS, {"document": document}).fetchone() is not None
        if released is None or not released["released"]:
            raise OperatorError(
                f"Document {document} waits for an approval of its sender alone: see tenants senders waiting."
                if waits
                else f"No document {document} is withheld."
            )
        return not waits
