"""Tenants' lists of allowed senders, and the waiting room: mails that are stored and hidden from the DMS.

The owner's functions do the work and record each action in the same transaction (migrations/versions). The DMS calls
the same functions for its tenants' own users (docs/dms-integration.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from ingest.documents.headers.sender_address import comparable_address, comparable_domain
from ingest.errors import OperatorError
from ingest.storage.database import Connection
from operations.audit import Account
from operations.database import connect, rows_as
from operations.tenants.records import find_tenant

GENERAL = ""  # the purpose of the list of all addresses without a list of their own


class SenderMode(StrEnum):
    """The effect of a list on a mail of a sender that is not on the list, or not proven."""

    OFF = "off"
    HOLD = "hold"
    QUARANTINE = "quarantine"


class Decision(StrEnum):
    """A person's decision on a mail that waits."""

    APPROVE = "approve"
    APPROVE_SENDER = "approve_sender"
    DECLINE = "decline"


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderList:
    """A tenant's list for the addresses of one purpose. `set_at` is None where the mode was never set."""

    purpose: str
    mode: str
    entries: int
    set_at: datetime | None
    set_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """An entry: an address or a domain. `added_by` is the database login, `remark` the caller's own words."""

    purpose: str
    entry: str
    added_at: datetime
    added_by: str
    remark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldMail:
    """A tenant's copy of a mail that waits for a decision. `key` is the copy's number."""

    key: int
    number: int
    tenant_id: int | UUID
    tenant: str | None
    purpose: str | None
    held_reason: str
    sender: str = field(repr=False)
    subject: str = field(repr=False)
    sender_proven: bool
    received_at: datetime
    stored_at: datetime
    documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """The result of an import. `wrong`: what was no sender, by the number of its line."""

    added: int
    known: int
    wrong: tuple[str, ...]


_LISTS = "select purpose, mode, entries, set_at, set_by from ingest.sender_lists(%(tenant)s)"
_SENDERS = "select * from ingest.senders(%(tenant)s, %(limit)s)"
_ALLOW = "select ingest.allow_senders(%(tenant)s, %(purpose)s, %(entries)s, %(why)s, %(remark)s) as count"
_REMOVE = "select ingest.remove_senders(%(tenant)s, %(purpose)s, %(entries)s, %(why)s, %(remark)s) as count"
_SET_MODE = "select ingest.set_sender_mode(%(tenant)s, %(purpose)s, %(mode)s, %(why)s, %(remark)s)"
_DECIDE = "select ingest.decide_held(%(tenant)s, %(key)s, %(decision)s, %(why)s, %(remark)s) as count"
_HELD: LiteralString = """
select held.message_id as key, held.number, held.tenant_id, tenant.name as tenant, held.purpose, held.held_reason,
    held.sender, held.subject, coalesce(held.sender_proven, false) as sender_proven, held.received_at, held.stored_at,
    cardinality(held.documents) as documents
from ingest.held left join ingest.tenant_name as tenant on tenant.id = held.tenant_id
where (%(tenant)s::text is null or held.tenant_id::text = %(tenant)s)
order by held.received_at, held.message_id limit %(limit)s
"""
_COPIES_OF: LiteralString = """
select id, tenant_id from ingest.message
where claim_id = %(number)s and held_reason is not null and (%(tenant)s::text is null or tenant_id::text = %(tenant)s)
order by tenant_id
"""


def normal_sender(text: str) -> str:
    """Return an address or a domain as lists have it. Raises OperatorError where the text is neither."""
    wanted = text.strip()
    found = comparable_address(wanted) if "@" in wanted[1:] else comparable_domain(wanted.removeprefix("@"))
    if found is None:
        raise OperatorError(f"{wanted[:100]!r} is neither a mail address nor a domain.")
    return found


class Senders:
    """The lists and the waiting rooms of one database, with an operator's rights. Every call raises OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def lists(self, tenant: str) -> list[SenderList]:
        """Return the tenant's lists, the general one first."""
        with connect(self._url) as connection:
            return rows_as(connection, SenderList, _LISTS, {"tenant": find_tenant(connection, tenant).id})

    def all(self, tenant: str, *, limit: int) -> list[Sender]:
        """Return up to `limit` entries of the tenant's lists."""
        with connect(self._url) as connection:
            return rows_as(connection, Sender, _SENDERS, {"tenant": find_tenant(connection, tenant).id, "limit": limit})

    def allow(self, tenant: str, entries: Sequence[str], account: Account, *, purpose: str = GENERAL) -> int:
        """Put entries on a list; return how many are new. Mails that wait for one of these senders are approved."""
        return self._change(_ALLOW, tenant, account, purpose=purpose, entries=[normal_sender(one) for one in entries])

    def allow_all(
        self, tenant: str, lines: Iterable[tuple[int, str]], account: Account, *, purpose: str = GENERAL
    ) -> Imported:
        """Put the entries of a file on a list, in one transaction. `lines`: number, text; wrong ones are left out."""
        entries: dict[str, None] = {}
        wrong: list[str] = []
        for number, text in lines:
            try:
                entries[normal_sender(text)] = None
            except OperatorError as error:
                wrong.append(f"line {number}: {error}")
        added = self._change(_ALLOW, tenant, account, purpose=purpose, entries=list(entries)) if entries else 0
        return Imported(added=added, known=len(entries) - added, wrong=tuple(wrong))

    def remove(self, tenant: str, entries: Sequence[str], account: Account, *, purpose: str = GENERAL) -> int:
        """Take entries off a list; return how many were on it. Mails that are stored stay as they are."""
        return self._change(_REMOVE, tenant, account, purpose=purpose, entries=[normal_sender(one) for one in entries])

    def set_mode(self, tenant: str, mode: SenderMode | None, account: Account, *, purpose: str = GENERAL) -> None:
        """Set the mode of a list; None takes a purpose's own list out of use. Stored mails stay as they are."""
        self._change(_SET_MODE, tenant, account, purpose=purpose, mode=mode)

    def held(self, *, tenant: str | None = None, limit: int) -> list[HeldMail]:
        """Return up to `limit` mails that wait, oldest first; of the tenant with this id where given."""
        with connect(self._url) as connection:
            return rows_as(connection, HeldMail, _HELD, {"tenant": tenant, "limit": limit})

    def decide(self, number: int, decision: Decision, account: Account, *, tenant: str | None = None) -> int:
        """Decide on the copy of mail `number` that waits; return the number of its documents.

        `tenant`: the id, needed where copies of several tenants wait.
        """
        with connect(self._url) as connection:
            copies = connection.execute(_COPIES_OF, {"number": number, "tenant": tenant}).fetchall()
            if not copies:
                raise OperatorError(f"No copy of mail {number} waits for a decision.")
            if len(copies) > 1:
                owners = ", ".join(str(copy["tenant_id"]) for copy in copies)
                raise OperatorError(f"Copies of several tenants wait ({owners}): name one with --tenant.")
            return _decide(connection, copies[0], decision, account)

    def decide_copy(self, key: int, tenant: str, decision: Decision, account: Account) -> int:
        """Decide on one copy that waits, by its key; return the number of its documents."""
        with connect(self._url) as connection:
            copy = {"id": key, "tenant_id": find_tenant(connection, tenant).id}
            return _decide(connection, copy, decision, account)

    def _change(self, statement: LiteralString, tenant: str, account: Account, **parameters: object) -> int:
        with connect(self._url) as connection:
            values = {"tenant": find_tenant(connection, tenant).id, **account.parameters, **parameters}
            row = connection.execute(statement, values).fetchone()
            return int((row or {}).get("count") or 0)


def _decide(connection: Connection, copy: dict[str, Any], decision: Decision, account: Account) -> int:
    values = {"tenant": copy["tenant_id"], "key": copy["id"], "decision": decision}
    row = connection.execute(_DECIDE, {**values, **account.parameters}).fetchone()
    return int((row or {})["count"])
