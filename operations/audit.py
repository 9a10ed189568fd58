"""The record of operator actions: an append-only table, chained by hashes, written by the owner's functions.

The database's login says who acted, not the caller. The hash of an entry covers its fields and the hash of the entry
before, as netstrings (`ingest.audit_hash` in migrations/versions computes the same).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from ingest.errors import OperatorError
from ingest.storage.database import Connection
from operations.database import connect, rows_as

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 1000  # entries that are read ahead
_SELECT: LiteralString = """
select number, at, login, action, subject, details::text as details, why, remark, previous, hash from ingest.audit
"""
_NEWEST: LiteralString = _SELECT + "order by number desc limit %(limit)s"
_ALL: LiteralString = _SELECT + "order by number"
_RECORD = "select ingest.record_action(%(action)s, %(subject)s, %(details)s::jsonb, %(why)s, %(remark)s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An operator's own words on an action: `why` it is done, and a free `remark`, such as a name or a ticket.

    Raises OperatorError for an account without a reason.
    """

    why: str
    remark: str = ""

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise OperatorError("An action needs a reason, for the record: --why.")

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters `why` and `remark` of the database's functions."""
        return {"why": self.why, "remark": self.remark}


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One operator action. `login` is the database's; `details` is JSON; `hash` covers everything before it."""

    number: int
    at: datetime
    login: str
    action: str
    subject: str
    details: str
    why: str
    remark: str
    previous: str
    hash: str

    @property
    def origin(self) -> str:
        """The place that the operator acted from, "" where the entry has none (`operations.origin`)."""
        return str(json.loads(self.details).get("from", ""))

    def computed_hash(self) -> str:
        """Return the hash that the fields have: SHA-256 in hex."""
        microseconds = (self.at - _EPOCH) // timedelta(microseconds=1)
        fields = (
            *(str(self.number), str(microseconds), self.login, self.action),
            *(self.subject, self.details, self.why, self.remark, self.previous),
        )
        encoded = [field.encode() for field in fields]
        return hashlib.sha256(b"".join(b"%d:%b," % (len(field), field) for field in encoded)).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A chain without a break: the number of entries, and the hash of the last one ("" where there is none)."""

    entries: int
    head: str


def record_action(
    connection: Connection, action: str, subject: str, account: Account, *, details: Mapping[str, object]
) -> None:
    """Append an action in the transaction that carries it out."""
    parameters = {"action": action, "subject": subject, "details": json.dumps(details), **account.parameters}
    connection.execute(_RECORD, parameters)


class Audit:
    """The record in one database, seen by a member of ingest_operator. Every call may raise OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def record(self, action: str, subject: str, account: Account, *, details: Mapping[str, object]) -> None:
        """Append an action that is done elsewhere than in the database: at Graph, or at the blobs."""
        with connect(self._url) as connection:
            record_action(connection, action, subject, account, details=details)

    def newest(self, *, limit: int) -> list[AuditEntry]:
        """Return up to `limit` entries, the newest first."""
        with connect(self._url) as connection:
            return rows_as(connection, AuditEntry, _NEWEST, {"limit": limit})

    def verify(self, *, head: str | None = None) -> Verified:
        """Check every entry against its hash and the one before it.

        `head`: a hash noted earlier, which has to be in the chain: entries cut off at the end show in no other way.
        Raises OperatorError with the number of the first entry that is wrong.
        """
        with connect(self._url) as connection, connection.cursor("audit", row_factory=class_row(AuditEntry)) as cursor:
            cursor.itersize = _BATCH
            return verified(iter(cursor.execute(_ALL)), head=head)


def verified(entries: Iterator[AuditEntry], *, head: str | None) -> Verified:
    """Follow the chain from its first entry. Raises OperatorError."""
    previous, count, seen = "", 0, head is None
    for entry in entries:
        if entry.number != count + 1:
            raise OperatorError(f"The record is broken: entry {count + 1} is missing.")
        if entry.previous != previous or entry.hash != entry.computed_hash():
            raise OperatorError(f"The record is broken: entry {entry.number} is not the one that was written.")
        previous, count, seen = entry.hash, entry.number, seen or entry.hash == head
    if not seen:
        raise OperatorError("The record is broken: it holds no entry with the hash that was noted (--head).")
    return Verified(entries=count, head=previous)
