"""A tenant's own history: the view `ingest.mail_history`, which is the contract with the DMS, for one tenant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from ingest.model.claim import ClaimState
from operations.database import connect, rows_as
from operations.mails.search import bounds, prefixes, understand

_HISTORY: LiteralString = """
select tenant_id, number, received_at, stored_at, sender, subject, documents, withheld, state, reason, held_reason
from ingest.mail_history
where tenant_id = %(tenant)s and (%(words)s = '' or search @@ to_tsquery('simple', %(words)s))
    and (%(since)s::timestamptz is null or received_at >= %(since)s and received_at < %(until)s)
    and (%(state)s::text is null or state = %(state)s) and (not %(held)s or held_reason is not null)
order by received_at desc, number desc limit %(limit)s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantMail:
    """A mail as its tenant sees it: `stored`, or `quarantined` for a `reason` (ingest.codes.Reason).

    `withheld`: the documents of `documents` that the DMS does not see. `held_reason`: the mail waits for an approval,
    or was declined (ingest.codes.HeldReason).
    """

    tenant_id: int | UUID
    number: int
    received_at: datetime
    stored_at: datetime | None
    sender: str = field(repr=False)
    subject: str = field(repr=False)
    documents: int
    withheld: int
    state: str
    reason: str | None
    held_reason: str | None = None


def tenant_history(database_url: str, tenant: str, text: str, *, limit: int) -> list[TenantMail]:
    """Return the newest mails of one tenant that `text` describes. `tenant`: the text of its id.

    `text` is understood as in the search over all mails, without the words of tenants. Raises OperatorError.
    """
    query = understand(text)
    parameters: dict[str, object] = {
        "tenant": tenant,
        "words": prefixes(query.words),
        "state": "stored" if query.state is ClaimState.DELETED else query.state,
        "held": query.held,
        "limit": limit,
    }
    parameters |= {"since": None, "until": None} if query.day is None else bounds(query.day)
    with connect(database_url) as connection:
        return rows_as(connection, TenantMail, _HISTORY, parameters)
