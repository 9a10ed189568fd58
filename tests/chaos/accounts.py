"""The books: everything that was sent against everything that is anywhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import psycopg
from azure.storage.blob import ContainerClient
from psycopg.rows import class_row

from ingest.codes import Reason
from local.functions_host.rest import Client, StorageError, open_session, parse_connection_string
from local.stack import CONTAINER, Stack
from tests.chaos.graph import GONE, INBOX, QUARANTINE, Place
from tests.chaos.mails import Content, Sent

_READERS = 8  # blobs read at a time
_QUEUES = (
    "ingest-messages",
    "ingest-messages-poison",
    "ingest-backlog",
    "ingest-backlog-poison",
    "subscription-events",
)
# A duplicate of a mail that has ended is also work, as long as a process works on it.
_UNFINISHED = """
select count(*) from ingest.claim where state in ('waiting', 'processing', 'stored') or lease_until > now()
"""
_CLAIMS = """
select message_id, state, reason, attempts, crashes, defects, lease_until > now() is true as held from ingest.claim
"""
_COPIES = """
select copy.subject, claim.message_id, tenant.name as tenant, tenant.id::text as tenant_id, copy.blob_name, copy.sha256,
    stored.blobs, stored.hashes,
    (select count(*) from ingest.document where document.message_id = copy.id) as documents
from ingest.message as copy
cross join lateral (
    select coalesce(array_agg(part.blob_name), '{}') as blobs, coalesce(array_agg(part.sha256), '{}') as hashes
    from ingest.part where part.message_id = copy.id and part.blob_name is not null
) as stored
join ingest.claim on claim.id = copy.claim_id
join dms_tenant as tenant on tenant.id = copy.tenant_id
"""


@dataclass(frozen=True, kw_only=True)
class _Claim:
    message_id: str
    state: str
    reason: str | None
    attempts: int
    crashes: int
    defects: int
    held: bool


@dataclass(frozen=True, kw_only=True)
class _Copy:
    subject: str
    message_id: str
    tenant: str
    tenant_id: str
    blob_name: str
    sha256: str
    blobs: list[str]
    hashes: list[str]
    documents: int


@dataclass(frozen=True, kw_only=True)
class Books:
    """Return the discrepancies by mail: none where all is well."""

    lost: Mapping[str, str] = field(default_factory=dict)
    duplicates: Mapping[str, str] = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=dict)
    stored: int
    quarantined: Mapping[str, int]
    blobs: int
    taken_over: int
    most_attempts: int

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing twice, nothing where it does not belong."""
        return not (self.lost or self.duplicates or self.wrong)


def unfinished(stack: Stack) -> int:
    """Return the number of messages that are not finished."""
    with psycopg.connect(stack.postgres.owner_url) as database:
        row = database.execute(_UNFINISHED).fetchone()
    return int(row[0]) if row else 0


def queued(stack: Stack) -> int:
    """Return the number of messages in the queues, duplicates of finished ones among them."""
    return asyncio.run(_queued(stack))


async def _queued(stack: Stack) -> int:
    account = parse_connection_string(stack.azurite.connection_string)
    total = 0
    async with open_session() as session:
        client = Client(session, account, account.queue_endpoint)
        for queue in _QUEUES:
            try:
                answer = await client.request("GET", f"/{queue}", query={"comp": "metadata"})
            except StorageError as error:
                if error.code != "QueueNotFound":
                    raise
            else:
                total += int(answer.headers["x-ms-approximate-messages-count"])
    return total


def ended(stack: Stack) -> int:
    """Return the number of messages that have ended, stored or quarantined."""
    with psycopg.connect(stack.postgres.owner_url) as database:
        row = database.execute("select count(*) from ingest.claim where ended_at is not null").fetchone()
    return int(row[0]) if row else 0


def balance(stack: Stack, sent: Sequence[Sent], places: Mapping[str, Place]) -> Books:
    """Compare. To be called when all is calm."""
    with psycopg.connect(stack.postgres.owner_url) as database:
        with database.cursor(row_factory=class_row(_Claim)) as cursor:
            claims = {claim.message_id: claim for claim in cursor.execute(_CLAIMS)}
        with database.cursor(row_factory=class_row(_Copy)) as cursor:
            copies = cursor.execute(_COPIES).fetchall()
    blobs = asyncio.run(_hashes(stack))
    auditor = _Auditor(places, claims, copies, blobs)
    for mail in sent:
        auditor.check(mail)
    auditor.check_the_rest(sent)
    return Books(
        lost=auditor.lost,
        duplicates=auditor.duplicates,
        wrong=auditor.wrong,
        stored=len(copies),
        quarantined=Counter(claim.reason or "" for claim in claims.values() if claim.state == "quarantined"),
        blobs=len(blobs),
        taken_over=sum(claim.crashes > 0 for claim in claims.values()),
        most_attempts=max((claim.attempts for claim in claims.values()), default=0),
    )


class _Auditor:
    def __init__(
        self,
        places: Mapping[str, Place],
        claims: Mapping[str, _Claim],
        copies: Iterable[_Copy],
        blobs: Mapping[str, Content],
    ) -> None:
        self.lost: dict[str, str] = {}
        self.duplicates: dict[str, str] = {}
        self.wrong: dict[str, str] = {}
        self._places = places
        self._claims = claims
        self._blobs = blobs
        self._copies: dict[str, list[_Copy]] = {}
        for copy in copies:
            self._copies.setdefault(copy.subject, []).append(copy)

    def check(self, mail: Sent) -> None:
        """One mail is in exactly one state, and that is the right one."""
        place = self._places.get(mail.subject)
        folder = place.folder if place else GONE
        copies = self._copies.get(mail.subject, [])
        if len(copies) > 1:
            self.duplicates[mail.subject] = f"stored for {', '.join(copy.tenant for copy in copies)}"
        elif copies and folder == QUARANTINE:
            self.duplicates[mail.subject] = "stored, and in Quarantine as well"
        elif folder == INBOX:
            self.lost[mail.subject] = f"still in the inbox: {self._claims.get(place.id) if place else None}"
        elif copies:
            self._check_copy(mail, copies[0])
        elif folder == QUARANTINE and place is not None:
            self._check_quarantined(mail, place)
        else:
            self.lost[mail.subject] = f"neither stored nor in the mailbox, expected for {mail.tenant or mail.reason}"

    def _check_copy(self, mail: Sent, copy: _Copy) -> None:
        problems = []
        claim = self._claims[copy.message_id]
        if copy.tenant != mail.tenant:
            problems.append(f"stored for {copy.tenant} instead of {mail.tenant or mail.reason}")
        original = self._blobs.get(copy.blob_name)
        if original is None or original.sha256 != copy.sha256 or original.without_boundaries != mail.without_boundaries:
            problems.append("the original is not what was sent")
        if claim.state != "deleted" or claim.held:
            problems.append(f"its record says {claim}")
        blobs = [self._blobs.get(name) for name in copy.blobs]
        if [blob and blob.sha256 for blob in blobs] != copy.hashes:
            problems.append("a part in Blob is not what is recorded")
        found = Counter(copy.hashes)
        if any(found[sha256] != 1 for sha256 in mail.files):
            problems.append(f"{len(mail.files)} files were sent, {sum(found[name] for name in mail.files)} stored")
        if not copy.documents:
            problems.append("no document")
        if not all(name.startswith(f"{copy.tenant_id}/") for name in (copy.blob_name, *copy.blobs)):
            problems.append("a blob lies with another tenant")
        if problems:
            self.wrong[mail.subject] = "; ".join(problems)

    def _check_quarantined(self, mail: Sent, place: Place) -> None:
        claim = self._claims.get(place.id)
        if claim is None or claim.state != "quarantined" or claim.reason != mail.reason or claim.held:
            self.wrong[mail.subject] = f"in Quarantine, expected {mail.tenant or mail.reason}, recorded {claim}"
        elif set(place.categories) & set(Reason) != {mail.reason}:
            self.wrong[mail.subject] = f"in Quarantine with the categories {place.categories}, not {mail.reason}"

    def check_the_rest(self, sent: Sequence[Sent]) -> None:
        """No row without a blob is checked mail by mail; here: no blob without a row, no row without a mail.

        An attempt that died has left blobs beside those of the next attempt, which read another MIME of the message.
        """
        copies = [copy for copies in self._copies.values() for copy in copies]
        named = {name for copy in copies for name in (copy.blob_name, *copy.blobs)}
        messages = {_message_of(name) for name in named}
        for name in self._blobs.keys() - named:
            if _message_of(name) not in messages:
                self.wrong[f"blob {name}"] = "no row names it"
        for subject in self._copies.keys() - {mail.subject for mail in sent}:
            self.wrong[subject] = "stored, and never sent"


def _message_of(blob: str) -> tuple[str, ...]:
    """The tenant and the message in a blob's name."""
    return tuple(blob.split("/")[:2])


async def _hashes(stack: Stack) -> dict[str, Content]:
    """The content of every blob, by its hashes. Not by the SDK, which takes several times as long for small ones."""
    account = parse_connection_string(stack.azurite.connection_string)
    with ContainerClient.from_connection_string(stack.azurite.connection_string, CONTAINER) as container:
        names = [blob.name for blob in container.list_blobs()] if container.exists() else []
    waiting = iter(names)
    found: dict[str, Content] = {}
    async with open_session() as session:
        client = Client(session, account, account.blob_endpoint)

        async def read() -> None:
            for name in waiting:
                answer = await client.request("GET", f"/{CONTAINER}/{quote(name)}")
                found[name] = Content.of(answer.body)

        async with asyncio.TaskGroup() as readers:
            for _ in range(_READERS):
                readers.create_task(read())
    return found
