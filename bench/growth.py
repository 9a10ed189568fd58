"""The rows on growth: SQL for one mail beside a thousand recorded mails and beside a million, and searches."""

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench import records, search
from ingest.codes import Disposition, Rule
from ingest.model.blob import StoredBlob
from ingest.model.claim import ClaimState
from ingest.model.message import Message
from ingest.model.message_ref import MessageRef
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.storage.claims import Claims
from ingest.storage.copies import Copies
from ingest.storage.database import Database
from ingest.storage.tenants import Tenants

_TOKEN = "0" * 32
_FEW = 1_000


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Milliseconds of SQL for one mail, the median of each round, beside 1,000 and beside `recorded` messages.

    `searches`: the median seconds of each search in `recorded` messages, by its name.
    """

    recorded: int
    few: list[float]
    many: list[float]
    searches: dict[str, float]


def prepare(data: Path, recorded: int) -> None:
    """Write the databases that `measure` needs."""
    records.fill(data, _FEW, recorded)


def measure(data: Path, *, recorded: int, mails: int, rounds: int) -> Growth:
    """Run the statements of `mails` mails in each round, beside few and beside `recorded` messages.

    Both databases are on one server, and mails go to them in turns: noise of the machine meets both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    with records.databases(data, _FEW, recorded) as (few, many), ExitStack() as running:
        cycles = [running.enter_context(_cycle(database)) for database in (few, many)]
        for number in range(rounds + 1):
            taken = list(_turns(cycles, [f"{number}-{mail}" for mail in range(mails)]))
            if number > 0:  # the first one only warms the caches
                for found, milliseconds in zip(times, zip(*taken, strict=True), strict=True):
                    found.append(statistics.median(milliseconds))
        searches = search.measure(many.owner_url)
    return Growth(recorded=recorded, few=times[0], many=times[1], searches=searches)


def _turns(cycles: Sequence[Callable[[str], float]], names: Sequence[str]) -> Iterator[list[float]]:
    """Yield the milliseconds of each cycle for each name. Each cycle goes first as often as it goes last."""
    order = list(enumerate(cycles))
    for name in names:
        milliseconds = {place: cycle(name) for place, cycle in order}
        yield [milliseconds[place] for place in range(len(cycles))]
        order.reverse()


@contextmanager
def _cycle(recorded: records.Recorded) -> Iterator[Callable[[str], float]]:
    """Yield the function that runs every statement of one mail for a tenant of its own."""
    with psycopg.connect(recorded.owner_url) as connection:
        row = connection.execute(
            "insert into dms_tenant (name, is_active, ingest_token) values ('Bench', true, %s) returning id", [_TOKEN]
        ).fetchone()
        assert row is not None  # noqa: S101 - `returning` always gives one
    database = Database(recorded.app_url)
    try:
        yield lambda name: _one_mail(database, Tenant(id=row[0]), name)
    finally:
        database.close()


def _one_mail(database: Database, tenant: Tenant, name: str) -> float:
    """Run every statement of a mail with one document and return the milliseconds."""
    ref = MessageRef(mailbox="upload@dms.cloud", message_id=f"AAkALgBench{name}")
    message = Message(
        ref=ref,
        internet_message_id=f"<{name}@bench.example>",
        subject="Rechnung",
        sender="rechnung@example.com",
        to=(),
        cc=(),
        received_at=datetime.now(UTC),
    )
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    blob = StoredBlob(container="documents", name=f"{tenant.id}/{name}", size=1, sha256=sha256)
    part = Part(
        position=1,
        name="Rechnung.pdf",
        declared_type="application/pdf",
        disposition=Disposition.DOCUMENT,
        rule=Rule.FILE,
        size=blob.size,
        sha256=blob.sha256,
        blob=blob,
    )
    claims, tenants = Claims(database, lease_seconds=600, retry_seconds=300), Tenants(database)
    copies = Copies(database, tenants)
    began = time.perf_counter()
    claim = claims.claim(ref)
    assert claim is not None  # noqa: S101 - no other owner is there
    [match] = tenants.resolve_tokens([_TOKEN])
    with tenants.tenant_context(match.tenant):
        copies.save(claim, message, blob, [part], last=True)
    claims.end(claim, ClaimState.DELETED)
    milliseconds = 1000 * (time.perf_counter() - began)
    assert match.tenant == tenant  # noqa: S101 - a wrong one would make the measurement worthless
    return milliseconds
