"""One search over all mails on record: sender, subject, file, invoice number, tenant, date, state, number.

Each word must be found, as the beginning of a word of the mail or of its tenant's name. Two steps keep every search
fast: the newest mails are looked through first, which answers for frequent words; the index answers for rare ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from ingest.model import ClaimState
from ingest.storage.database import Connection
from ingest.storage.words import searchable
from operations.database import connect

NEWEST = 20_000  # mails that the first step looks through
MAX_WORDS = 8
MAX_WORD = 100  # characters
_BERLIN = ZoneInfo("Europe/Berlin")  # a day is a day of the people who search
_GERMAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\Z")
_DAYS = {"heute": 0, "today": 0, "gestern": 1, "yesterday": 1, "vorgestern": 2}
_STATES: Mapping[str, ClaimState] = {
    "gespeichert": ClaimState.DELETED,
    "stored": ClaimState.DELETED,
    "wartend": ClaimState.WAITING,
    "waiting": ClaimState.WAITING,
    "quarantäne": ClaimState.QUARANTINED,
    "quarantine": ClaimState.QUARANTINED,
    "quarantined": ClaimState.QUARANTINED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A search as understood: `words` in lower case, a day, a state. Nothing at all finds the newest mails."""

    words: tuple[str, ...] = ()
    day: date | None = None
    state: ClaimState | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundMail:
    """A mail as a list shows it. Sender, subject and tenant are None where the mail was never stored."""

    number: int
    mailbox: str
    state: str
    reason: str | None
    tenant_id: int | UUID | None
    tenant: str | None
    sender: str | None = field(repr=False)
    subject: str | None = field(repr=False)
    received_at: datetime | None
    stored_at: datetime | None
    documents: int


def understand(text: str, *, now: datetime | None = None) -> Query:
    """Read a search box: `2026-11-26`, `26.11.2026`, `gestern` are days; `quarantine` a state; the rest are words."""
    today = (now or datetime.now(UTC)).astimezone(_BERLIN).date()
    words: list[str] = []
    day, state = None, None
    for piece in text.lower().split():
        if (found := _day(piece, today)) is not None:
            day = found
        elif piece in _STATES:
            state = _STATES[piece]
        else:
            words += [word[:MAX_WORD] for word in searchable(piece).split()]
    return Query(words=tuple(dict.fromkeys(words))[:MAX_WORDS], day=day, state=state)


def _day(piece: str, today: date) -> date | None:
    if piece in _DAYS:
        return today - timedelta(days=_DAYS[piece])
    try:
        if (german := _GERMAN_DATE.match(piece)) is not None:
            return date(int(german[3]), int(german[2]), int(german[1]))
        return date.fromisoformat(piece) if "-" in piece else None
    except ValueError:
        return None


# `mails`: the mails that a step looks through; `wanted`: the conditions of the query.
_FIND: LiteralString = """
select claim.id as number, claim.mailbox, claim.state, claim.reason, hit.tenant_id,
    (select tenant.name from ingest.tenant_name as tenant where tenant.id = hit.tenant_id) as tenant,
    hit.sender, hit.subject, hit.received_at, hit.stored_at,
    (select count(*) from ingest.document where document.message_id = hit.id) as documents
from ({mails}) as hit
join ingest.claim on claim.id = hit.claim_id
order by hit.received_at desc, claim.id desc
"""
_COLUMNS: LiteralString = "message.id, claim_id, tenant_id, sender, subject, received_at, stored_at"
_NEWEST: LiteralString = f"""
select {_COLUMNS} from (
    select * from ingest.message order by received_at desc limit {NEWEST}
) as message
"""  # noqa: S608 - both are ours
_ALL: LiteralString = f"select {_COLUMNS} from ingest.message"  # noqa: S608 - ours
_TENANTS: LiteralString = """
select id from ingest.tenant_name
where to_tsvector('simple', coalesce(name, '')) @@ to_tsquery('simple', %(word)s) limit 1000
"""
_CLAIMS: LiteralString = """
select claim.id as number, claim.mailbox, claim.state, claim.reason, null as tenant_id, null as tenant,
    null as sender, null as subject, claim.received_at, null::timestamptz as stored_at, 0 as documents
from ingest.claim
where not exists (select from ingest.message where message.claim_id = claim.id)
    and (%(state)s::text is null or claim.state = %(state)s)
    and (%(since)s::timestamptz is null or claim.received_at >= %(since)s and claim.received_at < %(until)s)
    and (%(text)s = '' or claim.id::text = %(text)s or claim.message_id = %(text)s or claim.reason = %(text)s)
order by claim.id desc limit %(limit)s
"""


class Search:
    """The mails of one database, searched with its reader's or owner's rights. Every call may raise OperatorError."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def find(self, text: str, *, tenant: int | UUID | str | None = None, limit: int = 50) -> list[FoundMail]:
        """Return the newest mails that `text` describes, at most `limit`; of one `tenant` only where given."""
        query = understand(text)
        with connect(self._url) as connection:
            stored = self._stored(connection, query, tenant, limit)
            if tenant is not None:
                return stored
            return _merged(stored, self._never_stored(connection, query, text, limit), limit)

    def _stored(
        self, connection: Connection, query: Query, tenant: int | UUID | str | None, limit: int
    ) -> list[FoundMail]:
        conditions, parameters = self._conditions(connection, query, tenant)
        if not conditions:
            return self._run(connection, _NEWEST, "", parameters, limit)
        newest = self._run(connection, _NEWEST, conditions, parameters, limit)
        return newest if len(newest) == limit else self._run(connection, _ALL, conditions, parameters, limit)

    def _run(
        self,
        connection: Connection,
        mails: LiteralString,
        conditions: LiteralString,
        parameters: Mapping[str, Any],
        limit: int,
    ) -> list[FoundMail]:
        chosen: LiteralString = f"{mails} {conditions} order by received_at desc limit %(limit)s"
        statement: LiteralString = _FIND.replace("{mails}", chosen)
        with connection.cursor(row_factory=class_row(FoundMail)) as cursor:
            return cursor.execute(statement, {**parameters, "limit": limit}).fetchall()

    def _conditions(
        self, connection: Connection, query: Query, tenant: int | UUID | str | None
    ) -> tuple[LiteralString, dict[str, Any]]:
        """Return the `where` of a query, empty for a query of nothing, and its parameters."""
        clauses: list[LiteralString] = []
        parameters: dict[str, Any] = {}
        for number, word in enumerate(query.words):
            key = _WORDS[number]
            parameters[key] = f"{word}:*"
            tenants = [row["id"] for row in connection.execute(_TENANTS, {"word": f"{word}:*"})]
            clause: LiteralString = f"search @@ to_tsquery('simple', %({key})s)"
            if tenants:
                parameters[f"{key}_tenants"] = tenants
                clause = f"({clause} or tenant_id = any(%({key}_tenants)s))"
            clauses.append(clause)
        if query.day is not None:
            clauses.append("received_at >= %(since)s and received_at < %(until)s")
            parameters |= _bounds(query.day)
        if query.state is not None:
            clauses.append("exists (select from ingest.claim where claim.id = claim_id and claim.state = %(state)s)")
            parameters["state"] = query.state
        if tenant is not None:
            clauses.append("tenant_id = %(tenant)s")
            parameters["tenant"] = tenant
        return (("where " + " and ".join(clauses)) if clauses else "", parameters)

    def _never_stored(self, connection: Connection, query: Query, text: str, limit: int) -> list[FoundMail]:
        """Return claims without a copy: waiting, quarantined, gone."""
        plain = text.strip() if query.words else ""
        parameters: dict[str, object] = {"state": query.state, "text": plain, "limit": limit}
        parameters |= {"since": None, "until": None} if query.day is None else _bounds(query.day)
        with connection.cursor(row_factory=class_row(FoundMail)) as cursor:
            return cursor.execute(_CLAIMS, parameters).fetchall()


_WORDS: tuple[LiteralString, ...] = ("word0", "word1", "word2", "word3", "word4", "word5", "word6", "word7")
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def _bounds(day: date) -> dict[str, datetime]:
    since = datetime(day.year, day.month, day.day, tzinfo=_BERLIN)
    following = day + timedelta(days=1)
    return {"since": since, "until": datetime(following.year, following.month, following.day, tzinfo=_BERLIN)}


def _merged(stored: Sequence[FoundMail], others: Sequence[FoundMail], limit: int) -> list[FoundMail]:
    newest_first = sorted(
        [*stored, *others], key=lambda mail: (mail.received_at or _EARLIEST, mail.number), reverse=True
    )
    return newest_first[:limit]
