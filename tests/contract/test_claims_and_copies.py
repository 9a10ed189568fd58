"""Claims, copies, tenants and backlog: the fake behaves as Postgres does."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ingest.codes import Disposition, Reason, Rule
from ingest.errors import LeaseLost
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import ListedMessage, Message
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.part import Part
from ingest.model.tenant import Tenant, TokenMatch
from ingest.ports import Claims, Copies, Tenants
from ingest.storage.backlog import Backlog
from ingest.storage.claims import Claims as StoredClaims
from ingest.storage.copies import Copies as StoredCopies
from ingest.storage.database import Database
from ingest.storage.tenants import Tenants as StoredTenants
from local.postgres import Postgres
from tests.fakes.records import FakeRecords
from tests.fakes.values import NOON, message

SLACK = 60.0  # seconds that the real clock of Postgres may advance by itself on a machine that does much else


@dataclass
class World:
    """The adapters of either kind, and direct access to their rows."""

    claims: Claims
    copies: Copies
    tenants: Tenants
    backlog: Backlog | FakeRecords
    fake: FakeRecords | None
    postgres: Postgres | None
    mailbox: str
    first: Tenant
    second: Tenant
    tokens: tuple[str, str, str]  # of the first, the second, and a tenant that is switched off

    def ref(self, message_id: str = "A1") -> MessageRef:
        return MessageRef(mailbox=self.mailbox, message_id=message_id)

    def claim(self, message_id: str = "A1") -> Claim:
        claim = self.claims.claim(self.ref(message_id))
        assert claim is not None
        return claim

    def left(self, *message_ids: str) -> list[ListedMessage]:
        return [
            ListedMessage(ref=self.ref(one), received_at=NOON + timedelta(seconds=n))
            for n, one in enumerate(message_ids)
        ]

    def enqueued(self, *message_ids: str, outstanding: int = 0) -> list[str]:
        return [
            ref.message_id
            for ref in self.backlog.enqueue(self.mailbox, self.left(*message_ids), outstanding=outstanding)
        ]

    def leases_run_out(self) -> None:
        if self.fake:
            for row in self.fake.rows.values():
                row.lease_until = None if row.lease_until is None else self.fake.now - 1
        self._sql("update ingest.claim set lease_until = now() - interval '1 second' where lease_until is not null")

    def pass_seconds(self, seconds: float) -> None:
        if self.fake:
            self.fake.now += seconds
        self._sql(
            "update ingest.claim set lease_until = lease_until - %(s)s * interval '1 second',"
            " next_try_at = next_try_at - %(s)s * interval '1 second'",
            s=seconds,
        )

    def state(self, message_id: str = "A1") -> tuple[str, str | None, str | None]:
        """State, reason and last error."""
        if self.fake:
            row = self.fake.row(self.ref(message_id))
            return row.state, row.reason, row.last_error
        (found,) = self._sql(
            "select state, reason, last_error from ingest.claim where mailbox = %(mailbox)s and message_id = %(id)s",
            mailbox=self.mailbox,
            id=message_id,
        )
        return str(found[0]), found[1], found[2]

    def saved(self) -> set[Tenant]:
        if self.fake:
            return {tenant for tenant, mailbox, _ in self.fake.saved if mailbox == self.mailbox}
        rows = self._sql(
            "select tenant_id from ingest.message join ingest.claim on claim.id = claim_id where mailbox = %(mailbox)s",
            mailbox=self.mailbox,
        )
        return {Tenant(id=tenant) for (tenant,) in rows}

    def parts(self, message_id: str) -> int:
        """The number of parts of all copies."""
        if self.fake:
            ref = self.ref(message_id)
            return sum(
                len(saved.parts)
                for (_, mailbox, saved_id), saved in self.fake.saved.items()
                if (mailbox, saved_id) == (ref.mailbox, ref.message_id)
            )
        ((count,),) = self._sql(
            "select count(*) from ingest.part join ingest.message on message.id = part.message_id"
            " join ingest.claim on claim.id = claim_id where mailbox = %(mailbox)s and claim.message_id = %(id)s",
            mailbox=self.mailbox,
            id=message_id,
        )
        return int(count)

    def save(
        self, claim: Claim, tenant: Tenant, *, last: bool = True, of: Message | None = None, name: str = "a"
    ) -> None:
        original = StoredBlob(container="documents", name=f"{tenant.id}/original.eml", size=1, sha256="00" * 32)
        part = Part(
            position=1,
            name=name,
            declared_type=None,
            disposition=Disposition.DOCUMENT,
            rule=Rule.FILE,
            blob=original,
            size=1,
            sha256="00" * 32,
        )
        with self.tenants.tenant_context(tenant):
            self.copies.save(claim, of or message(of=claim.ref), original, [part], last=last)

    def end(self, claim: Claim, state: ClaimState) -> None:
        """End a message; one that is deleted has a copy before."""
        if state is ClaimState.DELETED:
            self.save(claim, self.first)
        self.claims.end(claim, state)

    def _sql(self, statement: str, **parameters: object) -> list[Any]:
        if self.postgres is None:
            return []
        with psycopg.connect(self.postgres.owner_url, autocommit=True) as owner:
            cursor = owner.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def pooled(postgres: Postgres) -> Iterator[Database]:
    database = Database(postgres.app_url)
    yield database
    database.close()


@pytest.fixture(params=["fake", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    mailbox = f"{secrets.token_hex(8)}@dms.example"  # one a test
    tokens = (secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(16))
    if request.param == "fake":
        first, second, off = (Tenant(id=number) for number in (1, 2, 3))
        by_token = dict(zip(tokens, [(first, True), (second, True), (off, False)], strict=True))
        fake = FakeRecords(tenants=by_token)
        return World(fake, fake, fake, fake, fake, None, mailbox, first, second, tokens)
    postgres: Postgres = request.getfixturevalue("postgres")
    with psycopg.connect(postgres.owner_url, autocommit=True) as owner:
        ids = [
            owner.execute(
                "insert into dms_tenant (name, is_active, ingest_token) values (%s, %s, %s) returning id",
                (token, active, token),
            ).fetchone()
            for token, active in zip(tokens, (True, True, False), strict=True)
        ]
    first, second = (Tenant(id=row[0], proof=token) for row, token in zip(ids[:2], tokens, strict=False) if row)
    database: Database = request.getfixturevalue("pooled")
    claims, tenants = StoredClaims(database, lease_seconds=600, retry_seconds=300), StoredTenants(database)
    copies, backlog = StoredCopies(database, tenants), Backlog(database, retry_seconds=300)
    return World(claims, copies, tenants, backlog, None, postgres, mailbox, first, second, tokens)


# Claims


def test_the_first_claim_is_a_new_one(world: World) -> None:
    claim = world.claim()
    assert (claim.state, claim.attempts, claim.crashes, claim.defects) == (ClaimState.PROCESSING, 1, 0, 0)
    assert (claim.reason, claim.taken_over, claim.lease_seconds) == (None, False, 600)


def test_a_living_lease_is_respected(world: World) -> None:
    world.claim()
    assert world.claims.claim(world.ref()) is None


def test_ids_are_case_sensitive(world: World) -> None:
    assert world.claim("AbC").id != world.claim("aBc").id


def test_a_lease_that_ran_out_is_taken_over_and_counts_as_a_crash(world: World) -> None:
    before = world.claim()
    world.leases_run_out()
    claim = world.claim()
    assert claim.fence > before.fence
    assert (claim.attempts, claim.crashes, claim.taken_over) == (2, 1, True)


def test_an_owner_that_was_taken_over_can_do_nothing_any_more(world: World) -> None:
    slow = world.claim()
    world.leases_run_out()
    world.claim()
    with pytest.raises(LeaseLost):
        world.claims.renew(slow)
    with pytest.raises(LeaseLost):
        world.claims.end(slow, ClaimState.DELETED)
    with pytest.raises(LeaseLost):
        world.save(slow, world.first)
    with pytest.raises(LeaseLost):
        world.claims.put_off(slow, "late")
    assert world.state() == ("processing", None, None)
    assert world.saved() == set()


def test_an_owner_that_is_heard_of_after_all_did_not_die(world: World) -> None:
    slow = world.claim()
    world.leases_run_out()
    heir = world.claim()
    assert heir.crashes == 1
    with pytest.raises(LeaseLost):
        world.claims.put_off(slow, "late")
    world.claims.put_off(heir, "later")
    assert world.claim().crashes == 0


def test_a_renewed_lease_lives_on(world: World) -> None:
    claim = world.claim()
    world.pass_seconds(600 - SLACK)
    world.claims.renew(claim)
    world.pass_seconds(600 - SLACK)
    assert world.claims.claim(world.ref()) is None


def test_what_was_given_back_is_free_at_once_with_its_error(world: World) -> None:
    world.claims.put_off(world.claim(), "GraphUnavailable: down")
    assert world.state() == ("waiting", None, "GraphUnavailable: down")
    claim = world.claim()
    assert (claim.attempts, claim.crashes, claim.defects, claim.taken_over) == (2, 0, 0, False)


def test_an_error_of_any_text_can_be_remembered(world: World) -> None:
    world.claims.put_off(world.claim(), "zero\0 half \ud83d")
    assert world.state()[0] == "waiting"


def test_overruns_are_counted_apart_from_defects(world: World) -> None:
    world.claims.count_overrun(world.claim(), "TooCostly")
    world.claims.put_off(world.claim(), "Later")
    claim = world.claim()
    assert (claim.overruns, claim.defects, claim.crashes) == (1, 0, 0)


def test_defects_are_counted_and_trouble_is_not(world: World) -> None:
    world.claims.count_defect(world.claim(), "Defect")
    world.claims.put_off(world.claim(), "Later")
    assert world.claim().defects == 1


@pytest.mark.parametrize(
    ("state", "comes_back_as"),
    [
        (ClaimState.DELETED, ClaimState.STORED),
        (ClaimState.QUARANTINED, ClaimState.PROCESSING),
        (ClaimState.GONE, ClaimState.PROCESSING),
    ],
)
def test_what_comes_back_starts_afresh(world: World, state: ClaimState, comes_back_as: ClaimState) -> None:
    world.claims.count_defect(world.claim(), "Defect")
    world.claims.count_overrun(world.claim(), "Overrun")
    world.claim()
    world.leases_run_out()
    world.end(world.claim(), state)
    claim = world.claim()
    counted = (claim.attempts, claim.crashes, claim.defects, claim.overruns)
    assert (claim.state, counted) == (comes_back_as, (1, 0, 0, 0))
    world.leases_run_out()
    assert world.claim().crashes == 1, "its attempts count from here on"


def test_an_intended_quarantine_is_remembered_for_the_next_owner(world: World) -> None:
    world.claims.renew(world.claim(), reason=Reason.NO_TOKEN)
    world.leases_run_out()
    assert world.claim().reason is Reason.NO_TOKEN


def test_where_a_message_ended_is_remembered(world: World) -> None:
    world.claims.end(world.claim(), ClaimState.QUARANTINED, reason=Reason.UNKNOWN_TOKEN)
    assert world.state() == ("quarantined", "unknown_token", None)


def test_of_many_at_once_one_gets_it(world: World) -> None:
    claims: list[Claim | None] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        claims.append(world.claims.claim(world.ref()))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim]) == 1


# Copies


def test_a_saved_message_only_wants_cleaning_up(world: World) -> None:
    world.save(world.claim(), world.first)
    world.leases_run_out()
    assert world.claim().state is ClaimState.STORED
    assert world.saved() == {world.first}


def test_a_message_is_stored_with_the_last_of_its_copies(world: World) -> None:
    claim = world.claim()
    world.save(claim, world.first, last=False)
    assert world.state()[0] == "processing"
    world.save(claim, world.second)
    assert world.state()[0] == "stored"


def test_a_copy_that_is_there_is_left_as_it_is(world: World) -> None:
    world.save(world.claim(), world.first, last=False)
    world.leases_run_out()
    again = world.claim()
    world.save(again, world.first, last=False)
    world.save(again, world.second)
    assert world.state()[0] == "stored"
    assert world.saved() == {world.first, world.second}


def test_who_is_addressed_may_change_between_two_attempts(world: World) -> None:
    world.save(world.claim(), world.first, last=False)
    world.leases_run_out()
    again = world.claim()
    world.save(again, world.second, last=False)
    assert world.state()[0] == "processing", "a third one is still to get its copy"


def test_a_last_copy_that_is_there_already_ends_the_story(world: World) -> None:
    world.save(world.claim(), world.first, last=False)
    world.leases_run_out()
    world.save(world.claim(), world.first)
    assert world.state()[0] == "stored"


def test_saving_forgets_an_intended_quarantine(world: World) -> None:
    claim = world.claim()
    world.claims.renew(claim, reason=Reason.NO_TOKEN)
    world.save(claim, world.first)
    assert world.state()[1] is None


@pytest.mark.parametrize("text", ["", "zero\0", "half \ud83d", "😀 ä \u202e", "' or 1=1 --", "x" * 100_000])
def test_texts_of_strangers_can_be_saved(world: World, text: str) -> None:
    claim = world.claim()
    world.save(claim, world.first, of=message(of=claim.ref, subject=text), name=text)
    assert world.saved() == {world.first}


def test_nothing_is_saved_outside_of_a_tenants_context(world: World) -> None:
    claim = world.claim()
    original = StoredBlob(container="documents", name="x", size=1, sha256="00" * 32)
    with pytest.raises(RuntimeError):
        world.copies.save(claim, message(of=claim.ref), original, [], last=True)


def test_contexts_of_two_tenants_cannot_be_nested(world: World) -> None:
    with world.tenants.tenant_context(world.first), pytest.raises(RuntimeError):
        world.save(world.claim(), world.second)


# Copies across mails


def stored(world: World, message_id: str, tenant: Tenant, *, header: str | None, sha256: str = "00" * 32) -> Claim:
    """Store a mail under one id; its original has `sha256`."""
    claim = world.claim(message_id)
    original = StoredBlob(container="documents", name=f"{tenant.id}/{message_id}", size=1, sha256=sha256)
    of = replace(message(of=claim.ref), internet_message_id=header)
    with world.tenants.tenant_context(tenant):
        world.copies.save(claim, of, original, [], last=True)
    return claim


def linked(world: World, message_id: str, tenant: Tenant, *, header: str | None, sha256: str = "00" * 32) -> bool:
    claim = world.claim(message_id)
    of = replace(message(of=claim.ref), internet_message_id=header)
    with world.tenants.tenant_context(tenant):
        return world.copies.link(claim, of, sha256, last=True)


def test_a_mail_under_a_second_id_is_linked_and_stored(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    stored(world, "A1", world.first, header=header)
    assert linked(world, "A2", world.first, header=header)
    assert world.state("A2")[0] == "stored"
    assert linked(world, "A3", world.first, header=header)  # to the first one, not to a link


def test_of_two_claims_of_the_same_mail_at_once_the_second_to_save_is_linked(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    claims = [world.claim(message_id) for message_id in ("A1", "A2")]
    messages = [replace(message(of=claim.ref), internet_message_id=header) for claim in claims]
    with world.tenants.tenant_context(world.first):
        for claim, of in zip(claims, messages, strict=True):  # neither finds a copy
            assert not world.copies.link(claim, of, "00" * 32, last=True)
    for claim, of in zip(claims, messages, strict=True):
        world.save(claim, world.first, of=of)
    assert [world.state(message_id)[0] for message_id in ("A1", "A2")] == ["stored", "stored"]
    assert [world.parts(message_id) for message_id in ("A1", "A2")] == [1, 0]


def test_a_message_id_alone_links_nothing(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    stored(world, "A1", world.first, header=header)
    assert not linked(world, "A2", world.first, header=header, sha256="11" * 32)
    assert world.state("A2")[0] == "processing"


def test_a_hash_alone_links_nothing(world: World) -> None:
    sha256 = secrets.token_hex(32)
    stored(world, "A1", world.first, header="<one@x>", sha256=sha256)
    stored(world, "A2", world.first, header=None, sha256=sha256)
    assert not linked(world, "A3", world.first, header="<other@x>", sha256=sha256)
    assert not linked(world, "A4", world.first, header=None, sha256=sha256)


def test_another_tenants_mail_is_no_copy(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    stored(world, "A1", world.first, header=header)
    assert not linked(world, "A2", world.second, header=header)


def test_a_mail_is_no_copy_of_itself(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    claim = world.claim("A1")
    of = replace(message(of=claim.ref), internet_message_id=header)
    original = StoredBlob(container="documents", name=f"{world.first.id}/x", size=1, sha256="00" * 32)
    with world.tenants.tenant_context(world.first):
        world.copies.save(claim, of, original, [], last=False)
        assert not world.copies.link(claim, of, "00" * 32, last=True)


def test_a_link_names_the_blobs_of_its_first_copy_and_another_tenant_sees_none(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    claim = world.claim("A1")
    of = replace(message(of=claim.ref), internet_message_id=header)
    world.save(claim, world.first, of=of)
    world.save(claim, world.second, of=of)
    original = StoredBlob(container="documents", name=f"{world.first.id}/original.eml", size=1, sha256="00" * 32)
    link = world.claim("A2")
    with world.tenants.tenant_context(world.first):
        assert world.copies.link(link, replace(of, ref=link.ref), "00" * 32, last=True)
        assert list(world.copies.recorded_blobs(link)) == [original]
        assert list(world.copies.recorded_blobs(claim)) == [original]


def test_an_owner_that_was_taken_over_links_nothing(world: World) -> None:
    header = f"<{secrets.token_hex(8)}@x>"
    stored(world, "A1", world.first, header=header)
    slow = world.claim("A2")
    world.leases_run_out()
    world.claim("A2")
    of = replace(message(of=slow.ref), internet_message_id=header)
    with pytest.raises(LeaseLost), world.tenants.tenant_context(world.first):
        world.copies.link(slow, of, "00" * 32, last=True)
    assert world.state("A2")[0] == "processing"


# Tokens


def test_tokens_are_resolved_by_their_place(world: World) -> None:
    first, second, off = world.tokens
    matches = {match.position: match for match in world.tenants.resolve_tokens(["unknown" * 4, second, first, off])}
    assert matches[2] == TokenMatch(position=2, tenant=world.second, active=True)
    assert matches[3] == TokenMatch(position=3, tenant=world.first, active=True)
    assert not matches[4].active
    assert len(matches) == 3
    assert world.tenants.resolve_tokens([]) == []


# The sweep


def test_what_is_found_is_enqueued_once_in_its_order(world: World) -> None:
    assert world.enqueued("A3", "A1", "A2") == ["A3", "A1", "A2"]
    assert world.enqueued("A1", "A4") == ["A4"]
    assert world.enqueued() == []
    assert world.backlog.outstanding(world.mailbox) == 4


def test_what_is_worked_on_is_on_its_way(world: World) -> None:
    world.claim("A1")
    assert world.enqueued("A1") == []


def test_what_the_queue_may_still_bring_back_is_left_to_it_for_a_while(world: World) -> None:
    world.claims.put_off(world.claim(), "Later")
    assert world.enqueued("A1") == []
    world.pass_seconds(301)
    assert world.enqueued("A1") == ["A1"]


def test_the_distance_grows_up_to_an_hour(world: World) -> None:
    for distance in (300, 600, 1200, 2400, 3600, 3600):
        assert world.enqueued("A1") == ["A1"]
        world.pass_seconds(distance - SLACK)
        assert world.enqueued("A1") == []
        world.pass_seconds(2 * SLACK)


def test_the_distance_follows_what_is_outstanding(world: World) -> None:
    assert world.enqueued("A1", outstanding=500) == ["A1"]
    world.pass_seconds(900 - SLACK)
    assert world.enqueued("A1") == []
    world.pass_seconds(2 * SLACK)
    assert world.enqueued("A1") == ["A1"]


def test_what_was_enqueued_is_outstanding_until_it_has_ended(world: World) -> None:
    world.enqueued("A1", "A2", "A3")
    claim = world.claim("A1")
    world.save(world.claim("A2"), world.first)
    assert world.backlog.outstanding(world.mailbox) == 3
    world.claims.put_off(claim, "Later")
    world.pass_seconds(10_000)
    assert world.backlog.outstanding(world.mailbox) == 3, "it is on the queue all the same"
    world.end(world.claim("A1"), ClaimState.DELETED)
    assert world.backlog.outstanding(world.mailbox) == 2
    assert world.backlog.outstanding("another@dms.example") == 0


def test_what_the_queue_has_given_up_is_not_outstanding(world: World) -> None:
    world.enqueued("A1")
    world.backlog.note_poisoned(world.ref())
    assert world.backlog.outstanding(world.mailbox) == 0
    world.pass_seconds(1000)
    assert world.enqueued("A1") == ["A1"]
    assert world.backlog.outstanding(world.mailbox) == 1


def test_what_was_only_announced_is_not_outstanding(world: World) -> None:
    world.claims.put_off(world.claim("A1"), "Later")
    assert world.backlog.outstanding(world.mailbox) == 0


@pytest.mark.parametrize("state", [ClaimState.DELETED, ClaimState.QUARANTINED, ClaimState.GONE])
def test_a_message_of_the_sweep_that_has_ended_since_it_was_enqueued_is_a_repetition(
    world: World, state: ClaimState
) -> None:
    swept = replace(world.ref(), trigger=Trigger.SWEEP)
    world.enqueued("A1")
    claim = world.claims.claim(swept)
    assert claim
    world.end(claim, state)
    assert world.claims.claim(swept) is None
    assert world.enqueued("A1") == ["A1"], "it lies in the inbox again"
    assert world.claims.claim(swept) is not None


def test_what_was_announced_or_asked_for_is_never_a_repetition(world: World) -> None:
    world.enqueued("A1")
    for trigger in (Trigger.WEBHOOK, Trigger.OPERATOR):
        world.claims.end(world.claim("A1"), ClaimState.GONE)
        claim = world.claims.claim(replace(world.ref(), trigger=trigger))
        assert claim is not None
        world.claims.end(claim, ClaimState.GONE)


@pytest.mark.parametrize("stored", [False, True])
def test_what_was_abandoned_is_found_without_a_listing(world: World, stored: bool) -> None:  # noqa: FBT001 - parametrized
    claim = world.claim()
    if stored:
        world.save(claim, world.first)
    assert world.backlog.enqueue_abandoned(world.mailbox, outstanding=0) == []
    world.leases_run_out()
    (found,) = world.backlog.enqueue_abandoned(world.mailbox, outstanding=0)
    assert (found.mailbox, found.message_id, found.trigger) == (world.mailbox, "A1", Trigger.SWEEP)
    assert world.backlog.enqueue_abandoned(world.mailbox, outstanding=0) == []


@pytest.mark.parametrize("state", [ClaimState.DELETED, ClaimState.QUARANTINED, ClaimState.GONE])
def test_what_has_ended_is_not_abandoned_but_may_be_in_the_inbox_again(world: World, state: ClaimState) -> None:
    world.end(world.claim(), state)
    world.pass_seconds(10_000)
    assert world.backlog.enqueue_abandoned(world.mailbox, outstanding=0) == []
    assert world.enqueued("A1") == ["A1"]


def test_a_stored_mail_that_comes_back_and_fails_is_abandoned_without_a_listing(world: World) -> None:
    world.end(world.claim(), ClaimState.DELETED)
    world.claims.put_off(world.claim(), "down")
    world.pass_seconds(301)
    abandoned = world.backlog.enqueue_abandoned(world.mailbox, outstanding=0)
    assert [ref.message_id for ref in abandoned] == ["A1"]


def test_what_was_poisoned_comes_back_later_each_time(world: World) -> None:
    for distance in (300, 600, 1200):
        world.backlog.note_poisoned(world.ref())
        assert world.enqueued("A1") == []
        world.pass_seconds(distance - SLACK)
        assert world.enqueued("A1") == []
        world.pass_seconds(2 * SLACK)


def test_a_poisoned_message_of_which_nothing_was_known_is_remembered(world: World) -> None:
    world.backlog.note_poisoned(world.ref())
    assert world.state()[0] == "waiting"


def test_what_has_ended_is_not_brought_back_by_its_poison(world: World) -> None:
    world.end(world.claim(), ClaimState.DELETED)
    world.backlog.note_poisoned(world.ref())
    assert world.state()[0] == "deleted"
