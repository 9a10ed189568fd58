"""The claim on a real Postgres agrees with a model, for each order of calls and deaths of owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from threading import Barrier
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg.rows import dict_row

from ingest.codes import Reason
from ingest.errors import LeaseLost
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import ListedMessage, Message
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.tenant import Tenant
from ingest.storage.backlog import Backlog
from ingest.storage.claims import Claims
from ingest.storage.copies import Copies
from ingest.storage.database import Database as Pool
from ingest.storage.tenants import Tenants
from tests.fakes import values
from tests.integration.databases import Database

pytestmark = pytest.mark.shares("postgres")

LEASE = 3600  # seconds: nothing runs out but by the rule `time_passes`
RETRY = 60
MAILBOX = "upload@dms.cloud"
_numbers = count(1)


@dataclass
class Expected:
    """The expected record of one message."""

    state: str = "none"
    owner: int | None = None  # fence of the one who holds the lease
    expired: bool = False
    lost: set[int] = field(default_factory=set)
    attempts: int = 0
    defects: int = 0
    reason: str | None = None
    copies: int = 0


@dataclass(frozen=True)
class World:
    claims: Claims
    copies: Copies
    tenants: Tenants
    backlog: Backlog
    database: psycopg.Connection[dict[str, Any]]  # as the owner
    tenant: Tenant


class Owners(RuleBasedStateMachine):
    """One message and any number of owners, each of which may be slow, late or dead at any time."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.ref = MessageRef(mailbox=MAILBOX, message_id=f"message {next(_numbers)}")
        self.expected = Expected()
        self.owners: list[Claim] = []

    @rule()
    def claim(self) -> None:
        self._check_claim(self.world.claims.claim(self.ref))

    @rule(threads=st.integers(2, 4))
    def claim_at_once(self, threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            granted = [c for c in pool.map(lambda _: self.world.claims.claim(self.ref), range(threads)) if c]
        assert len(granted) <= 1
        self._check_claim(granted[0] if granted else None)

    def _check_claim(self, claim: Claim | None) -> None:
        expected = self.expected
        if expected.owner is not None and not expected.expired:
            assert claim is None
            return
        assert claim is not None
        assert claim.taken_over == (expected.owner is not None)
        if expected.state in {"deleted", "quarantined", "gone"}:
            expected.lost, expected.attempts, expected.defects = set(), 0, 0
        elif expected.owner is not None:
            expected.lost.add(expected.owner)
        expected.attempts += 1
        expected.state = "stored" if expected.state in {"stored", "deleted"} else "processing"
        expected.owner, expected.expired = claim.fence, False
        assert all(claim.fence > earlier.fence for earlier in self.owners)
        assert (claim.state, claim.attempts) == (expected.state, expected.attempts)
        assert (claim.crashes, claim.defects, claim.reason) == (len(expected.lost), expected.defects, expected.reason)
        self.owners.append(claim)

    @precondition(lambda self: self.expected.owner is not None)
    @rule()
    def time_passes(self) -> None:
        """Longer than any lease: its owner is slow, or dead."""
        self.world.database.execute(
            "update ingest.claim set lease_until = lease_until - interval '1 day' where message_id = %s",
            [self.ref.message_id],
        )
        self.expected.expired = True

    @precondition(lambda self: self.owners)
    @rule(data=st.data(), reason=st.sampled_from([None, Reason.UNREADABLE]))
    def renew(self, data: st.DataObject, reason: Reason | None) -> None:
        claim = data.draw(st.sampled_from(self.owners))
        if not self._fenced(claim, lambda: self.world.claims.renew(claim, reason=reason)):
            return
        self.expected.owner, self.expected.expired = claim.fence, False
        self.expected.reason = reason or self.expected.reason

    @precondition(lambda self: self.owners)
    @rule(data=st.data(), defect=st.booleans())
    def put_off(self, data: st.DataObject, *, defect: bool) -> None:
        """Also by one who has done so before, and did not hear the answer."""
        claim = data.draw(st.sampled_from(self.owners))
        given_back = True
        try:
            give_back = self.world.claims.count_defect if defect else self.world.claims.put_off
            give_back(claim, "what went wrong")
        except LeaseLost:
            given_back = False
        assert given_back == (claim.fence == self.expected.owner)
        self.expected.lost.discard(claim.fence)
        if given_back:
            self.expected.owner = None
            self.expected.defects += defect
            self.expected.state = "waiting" if self.expected.state == "processing" else self.expected.state

    @precondition(lambda self: self.expected.owner is not None)
    @rule(data=st.data(), state=st.sampled_from([ClaimState.DELETED, ClaimState.QUARANTINED, ClaimState.GONE]))
    def end(self, data: st.DataObject, state: ClaimState) -> None:
        claim = data.draw(st.sampled_from(self.owners))
        reason = Reason.NO_TOKEN if state is ClaimState.QUARANTINED else None
        safe = {ClaimState.STORED, ClaimState.DELETED}
        stored = self.expected.state in safe
        refused = state is ClaimState.GONE if stored else state is ClaimState.DELETED
        if claim.fence == self.expected.owner and refused:
            with pytest.raises(psycopg.errors.CheckViolation):  # neither deleted without a copy, nor forgotten
                self.world.claims.end(claim, state, reason=reason)
            return
        if self._fenced(claim, lambda: self.world.claims.end(claim, state, reason=reason)):
            self.expected.state, self.expected.owner, self.expected.reason = state, None, reason

    @precondition(lambda self: self.expected.state in {"processing", "stored"} and self.expected.owner is not None)
    @rule(data=st.data())
    def save(self, data: st.DataObject) -> None:
        """Also a second time: a copy that is on record stays as it is."""
        claim = data.draw(st.sampled_from(self.owners))
        if self._fenced(claim, lambda: self._save(claim)):
            self.expected.state, self.expected.reason, self.expected.expired = "stored", None, False
            self.expected.copies = 1

    def _save(self, claim: Claim) -> None:
        message = Message(
            ref=self.ref,
            internet_message_id=None,
            subject="",
            sender="",
            to=(),
            cc=(),
            received_at=datetime.now(UTC),
        )
        name = f"{self.world.tenant.id}/original.eml"
        original = StoredBlob(container="documents", name=name, size=0, sha256="0" * 64)
        with self.world.tenants.tenant_context(self.world.tenant):
            self.world.copies.save(claim, message, original, [], last=True)

    @rule()
    def sweep(self) -> None:
        """Enqueue the listed message unless a living owner works on it or the message is on its way."""
        if self.expected.state == "none":
            return
        found = ListedMessage(ref=self.ref, received_at=datetime.now(UTC))
        self.world.database.execute(
            "update ingest.claim set next_try_at = null where message_id = %s", [self.ref.message_id]
        )
        free = self.expected.owner is None or self.expected.expired
        assert bool(self.world.backlog.enqueue(MAILBOX, [found], outstanding=0)) == free
        assert not self.world.backlog.enqueue(MAILBOX, [found], outstanding=0)

    def _fenced(self, claim: Claim, write: Callable[[], None]) -> bool:
        """An owner may write until another one has the message, or it has ended."""
        row = self._row()
        try:
            write()
        except LeaseLost:
            assert row["fence"] != claim.fence
            return False
        assert row["fence"] == claim.fence
        return True

    def _row(self) -> dict[str, Any]:
        select = "select * from ingest.claim where message_id = %s"
        row = self.world.database.execute(select, [self.ref.message_id]).fetchone()
        assert row is not None
        return row

    @invariant()
    def the_record_says_so(self) -> None:
        if self.expected.state == "none":
            return
        row, expected = self._row(), self.expected
        assert row["state"] == expected.state
        assert (row["attempts"], row["crashes"], row["defects"]) == (
            expected.attempts,
            len(expected.lost),
            expected.defects,
        )
        assert (row["lease_until"] is not None) == (expected.owner is not None)
        assert row["reason"] == expected.reason
        assert row["copies"] == expected.copies


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    (tenant,) = database.rows("insert into dms_tenant (name) values ('Tenant') returning id, ingest_token")
    pool = Pool(database.app_url)
    tenants = Tenants(pool)
    with (
        closing(pool),
        psycopg.connect(database.owner_url, row_factory=dict_row, autocommit=True) as connection,
    ):
        yield World(
            claims=Claims(pool, lease_seconds=LEASE, retry_seconds=RETRY),
            copies=Copies(pool, tenants),
            tenants=tenants,
            backlog=Backlog(pool, retry_seconds=RETRY),
            database=connection,
            tenant=Tenant(id=tenant["id"], proof=tenant["ingest_token"]),
        )


def test_every_history_of_owners_ends_as_the_model_says(world: World) -> None:
    class Bound(Owners):
        pass

    Bound.world = world
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_claim_with_a_lost_answer_counts_against_no_mail(world: World) -> None:
    ref = MessageRef(mailbox=MAILBOX, message_id="in doubt", trigger=Trigger.SWEEP)
    claim = world.claims.claim(ref)
    assert claim is not None
    world.claims.put_off(claim, "the connection broke")
    again = world.claims.claim(ref)
    assert again is not None
    assert (again.crashes, again.attempts, again.taken_over) == (0, 2, False)


def test_what_was_begun_is_taken_up_although_no_listing_shows_it(world: World) -> None:
    ref = MessageRef(mailbox="other@dms.cloud", message_id="moved, and the answer was lost")
    claim = world.claims.claim(ref)
    assert claim is not None
    assert world.backlog.enqueue_abandoned(ref.mailbox, outstanding=0) == []  # its owner lives
    world.claims.put_off(claim, "Postgres went away after the move")
    assert world.backlog.enqueue_abandoned(ref.mailbox, outstanding=0) == []  # it has its time
    world.database.execute("update ingest.claim set next_try_at = now()")
    assert [found.message_id for found in world.backlog.enqueue_abandoned(ref.mailbox, outstanding=0)] == [
        ref.message_id
    ]
    assert world.backlog.enqueue_abandoned(ref.mailbox, outstanding=0) == []


def test_of_many_claims_of_the_same_mail_at_once_one_is_the_first_copy(world: World) -> None:
    """Outlook gives a mail a new id when a person moves it: notifications for both ids can come at once."""
    claims = [world.claims.claim(MessageRef(mailbox=MAILBOX, message_id=f"same {number}")) for number in range(8)]
    together = Barrier(len(claims))
    original = StoredBlob(container="documents", name=f"{world.tenant.id}/x", size=1, sha256="ab" * 32)

    def save(claim: Claim | None) -> None:
        assert claim is not None
        message = values.message(of=claim.ref)
        together.wait()
        with world.tenants.tenant_context(world.tenant):
            world.copies.save(claim, message, original, [], last=True)

    with ThreadPoolExecutor(len(claims)) as pool:
        list(pool.map(save, claims))
    with world.database.transaction():
        world.database.execute("select ingest.open_tenant(%s)", [world.tenant.id])
        rows = world.database.execute(
            "select message.id, duplicate_of from ingest.message join ingest.claim on claim.id = claim_id"
            " where claim.message_id like 'same %' order by message.id"
        ).fetchall()
    (first,) = (row["id"] for row in rows if row["duplicate_of"] is None)
    assert [row["duplicate_of"] for row in rows if row["id"] != first] == [first] * 7
