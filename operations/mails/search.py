"""One search over all mails on record: sender, subject, file, invoice number, tenant, date, state, number.

Each word must be found, as the beginning of a word of the mail or of its tenant's name. A mail in Quarantine is found
by sender, subject and the code of its reason. Two steps keep every search fast: the newest mails are looked through
first, which answers for frequent words; the index answers for rare ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

from ingest.model.claim import ClaimState
from ingest.storage.database import Connection
from ingest.storage.search_words import searchable
from operations.database import connect, rows_as

NEWEST = 2_000  # mails that the first step looks through
MAX_WORDS = 8
MAX_WORD = 100  # characters
MAX_DIGITS = 18  # of a mail's number
MAX_TENANTS = 100_000  # in the search for names
NAMES_SECONDS = 60.0  # that the tenants' names are kept
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
_HELD = frozenset({"zurückgehalten", "held"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A search as understood: `words` in lower case, a day, a state, `held` for mails that wait for an approval.

    Nothing at all finds the newest mails.
    """

    words: tuple[str, ...] = ()
    day: date | None = None
    state: ClaimState | None = None
    held: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundMail:
    """A mail as a list shows it. Sender, subject and tenant are None where the database has none.

    `withheld`: its documents that the DMS does not see.
    """

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
    withheld: int = 0
    held_reason: str | None = None


def understand(text: str, *, now: datetime | None = None) -> Query:
    """Read a search box: `2026-11-26`, `26.11.2026`, `gestern` are days; `quarantine` a state; `held`; or words."""
    today = (now or datetime.now(UTC)).astimezone(_BERLIN).date()
    words: list[str] = []
    day, state, held = None, None, False
    for piece in text.lower().split():
        if (found := _day(piece, today)) is not None:
            day = found
        elif piece in _STATES:
            state = _STATES[piece]
        elif piece in _HELD:
            held = True
        else:
            words += [word[:MAX_WORD] for word in searchable(piece).split()]
    return Query(words=tuple(dict.fromkeys(words))[:MAX_WORDS], day=day, state=state, held=held)


def _day(piece: str, today: date) -> date | None:
    if piece in _DAYS:
        return today - timedelta(days=_DAYS[piece])
    try:
        if (german := _GERMAN_DATE.match(piece)) is not None:
            found = date(int(german[3]), int(german[2]), int(german[1]))
        elif "-" in piece:
            found = date.fromisoformat(piece)
        else:
            return None
    except ValueError:
        return None
    return found if found < date.max else None  # `bounds` needs the next day


# `mails`: the mails that a step looks through; `wanted`: the conditions of the query.
_FIND: LiteralString = """
select claim.id as number, claim.mailbox, claim.state, claim.reason, hit.tenant_id,
    (select tenant.name from ingest.tenant_name as tenant where tenant.id = hit.tenant_id) as tenant,
    hit.sender, hit.subject, hit.received_at, hit.stored_at, hit.held_reason,
    (select count(*) from ingest.document where document.message_id = hit.id) as documents,
    (
        select count(distinct document.id) from ingest.document
        join ingest.withheld on withheld.document_id = document.id and withheld.released_at is null
        where document.message_id = hit.id
    ) as withheld
from ({mails}) as hit
join ingest.claim on claim.id = hit.claim_id
order by hit.received_at desc, claim.id desc
"""
_COLUMNS: LiteralString = "message.id, claim_id, tenant_id, sender, subject, received_at, stored_at, held_reason"
_REJECTED_COLUMNS: LiteralString = """
null::bigint as id, claim_id, tenant_id, sender, subject, received_at, null::timestamptz as stored_at,
    null::text as held_reason
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """The mails of one kind: the newest ones, which answer for frequent words, and all of them by index."""

    newest: LiteralString
    every: LiteralString


_STORED = _Source(
    newest=f"""
    select {_COLUMNS} from (
        select * from ingest.message order by received_at desc limit {NEWEST}
    ) as message
    """,  # noqa: S608 - both are ours
    every=f"select {_COLUMNS} from ingest.message",  # noqa: S608 - ours
)
_REJECTED = _Source(
    newest=f"""
    select {_REJECTED_COLUMNS} from (
        select * from ingest.rejection order by received_at desc limit {NEWEST}
    ) as rejection
    """,  # noqa: S608 - both are ours
    every=f"select {_REJECTED_COLUMNS} from ingest.rejection",  # noqa: S608 - ours
)
# A rejection counts while its mail is in Quarantine for the same reason.
_IN_QUARANTINE: LiteralString = """
exists (
    select from ingest.claim
    where claim.id = claim_id and claim.state = 'quarantined' and claim.reason = rejection.reason
)
"""
_TENANTS: LiteralString = "select id, name from ingest.tenant_name where name is not null limit %(limit)s"
# An array, so that the planner begins with the few claims of a state.
_OF_STATE: LiteralString = """
claim_id = any(array(select id from ingest.claim where state = %(state)s order by id desc limit 10000))
"""
_CLAIMS: LiteralString = """
select claim.id as number, claim.mailbox, claim.state, claim.reason, null as tenant_id, null as tenant,
    null as sender, null as subject, claim.received_at, null::timestamptz as stored_at, 0 as documents
from ingest.claim
where claim.state in ('waiting', 'processing', 'quarantined', 'gone')
    and not exists (select from ingest.message where message.claim_id = claim.id)
    and not exists (
        select from ingest.rejection
        where rejection.claim_id = claim.id and rejection.reason = claim.reason and claim.state = 'quarantined'
    )
    and (%(state)s::text is null or claim.state = %(state)s)
    and (%(since)s::timestamptz is null or claim.received_at >= %(since)s and claim.received_at < %(until)s)
    and (%(text)s = '' or claim.id::text = %(text)s or claim.message_id = %(text)s or claim.reason = %(text)s)
order by claim.id desc limit %(limit)s
"""


class _TenantNames:
    """The words of every tenant's name, read again after NAMES_SECONDS: a search box asks at each key."""

    def __init__(self) -> None:
        self._words: dict[int | UUID, tuple[str, ...]] = {}
        self._until = 0.0

    def of_word(self, connection: Connection, word: str) -> list[int | UUID]:
        """Return the tenants with a name in which a word begins with `word`."""
        if time.monotonic() > self._until:
            rows = connection.execute(_TENANTS, {"limit": MAX_TENANTS}).fetchall()
            self._words = {row["id"]: tuple(searchable(row["name"]).split()) for row in rows}
            self._until = time.monotonic() + NAMES_SECONDS
        return [tenant for tenant, words in self._words.items() if any(name.startswith(word) for name in words)]


class Search:
    """The mails of one database, searched with its reader's or owner's rights. Every call may raise OperatorError."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._names = _TenantNames()

    def find(self, text: str, *, tenant: str | None = None, limit: int = 50) -> list[FoundMail]:
        """Return the newest mails that `text` describes, at most `limit`; of one `tenant` only where given."""
        query = understand(text)
        with connect(self._url) as connection:
            clauses, parameters = self._conditions(connection, query, tenant)
            stored = clauses if query.state is None else [*clauses, _OF_STATE]
            if query.held:
                return _run(connection, _STORED, [*stored, "held_reason is not null"], parameters, limit)
            found = _run(connection, _STORED, stored, parameters, limit)
            if query.state in {None, ClaimState.QUARANTINED}:
                found += _run(connection, _REJECTED, [*clauses, _IN_QUARANTINE], parameters, limit)
            if tenant is None:
                found += self._never_stored(connection, query, text, limit)
        newest_first = sorted(found, key=lambda mail: (mail.received_at or _EARLIEST, mail.number), reverse=True)
        return newest_first[:limit]

    def _conditions(
        self, connection: Connection, query: Query, tenant: str | None
    ) -> tuple[list[LiteralString], dict[str, Any]]:
        """Return the conditions of a query but for its state, none for a query of nothing, and all parameters."""
        clauses: list[LiteralString] = []
        parameters: dict[str, Any] = {"state": query.state}
        for number, word in enumerate(query.words):
            key = _WORDS[number]
            parameters[key] = prefixes([word])
            clause: LiteralString = f"search @@ to_tsquery('simple', %({key})s)"
            if tenants := self._names.of_word(connection, word):
                parameters[f"{key}_tenants"] = tenants
                clause = f"({clause} or tenant_id = any(%({key}_tenants)s))"
            if word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS:
                parameters[f"{key}_number"] = int(word)
                clause = f"({clause} or claim_id = %({key}_number)s)"
            clauses.append(clause)
        if query.day is not None:
            clauses.append("received_at >= %(since)s and received_at < %(until)s")
            parameters |= bounds(query.day)
        if tenant is not None:
            clauses.append("tenant_id = %(tenant)s")
            parameters["tenant"] = tenant
        return clauses, parameters

    def _never_stored(self, connection: Connection, query: Query, text: str, limit: int) -> list[FoundMail]:
        """Return claims without a copy or a rejection: waiting, gone, and quarantined without a word of the mail."""
        plain = text.strip() if query.words else ""
        parameters: dict[str, object] = {"state": query.state, "text": plain, "limit": limit}
        parameters |= {"since": None, "until": None} if query.day is None else bounds(query.day)
        return rows_as(connection, FoundMail, _CLAIMS, parameters)


_WORDS: tuple[LiteralString, ...] = ("word0", "word1", "word2", "word3", "word4", "word5", "word6", "word7")
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def _run(
    connection: Connection, source: _Source, clauses: Sequence[LiteralString], parameters: Mapping[str, Any], limit: int
) -> list[FoundMail]:
    """Look through the newest mails, and through all where these do not suffice."""
    newest = _select(connection, source.newest, clauses, parameters, limit)
    if len(newest) == limit or not clauses:
        return newest
    return _select(connection, source.every, clauses, parameters, limit)


def _select(
    connection: Connection,
    mails: LiteralString,
    clauses: Sequence[LiteralString],
    parameters: Mapping[str, Any],
    limit: int,
) -> list[FoundMail]:
    conditions: LiteralString = "where " + " and ".join(clauses) if clauses else ""
    # `offset 0` plans the conditions without the limit: a walk from the newest mail finds a rare word too late.
    chosen: LiteralString = (
        f"select * from ({mails} {conditions} offset 0) as hit"  # noqa: S608 - all three are ours
        " order by received_at desc limit %(limit)s"
    )
    statement: LiteralString = _FIND.replace("{mails}", chosen)
    return rows_as(connection, FoundMail, statement, {**parameters, "limit": limit})


def prefixes(words: Iterable[str]) -> str:
    """Return words of `understand` as a tsquery: each is the beginning of a word."""
    return " & ".join(f"{word}:*" for word in words)


def bounds(day: date) -> dict[str, datetime]:
    """Return the day's beginning and the next day's, as the parameters `since` and `until`."""
    since = datetime(day.year, day.month, day.day, tzinfo=_BERLIN)
    following = day + timedelta(days=1)
    return {"since": since, "until": datetime(following.year, following.month, following.day, tzinfo=_BERLIN)}
