"""The budget of a tenant: mails beyond it wait, and come back one of each tenant after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ingest.errors import LeaseLost
from ingest.model.claim import Claim
from ingest.model.message import ListedMessage
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.tenant import Tenant
from ingest.storage.backlog import Backlog
from ingest.storage.tenants import Tenants
from ingest.storage.turns import Turns
from operations.audit import Account
from operations.tenants.records import Tenants as OperatorsTenants
from tests.fakes import values
from tests.integration.databases import Database
from tests.integration.stores import Store, add_tenant, blob, save, store_of

pytestmark = pytest.mark.shares("postgres")

BUDGET = 3
ANNA = Account(why="a test", remark="anna")


class World(Store):
    """The adapters with a small budget, and what a test does with them."""

    def __init__(self, database: Database, store: Store) -> None:
        self.database = database
        self.pool, self.claims, self.copies = store.pool, store.claims, store.copies
        self.tenants = store.tenants
        self.small = Tenants(store.pool, budget=BUDGET)
        self.turns = Turns(store.pool, store.tenants)
        self.backlog = Backlog(store.pool, retry_seconds=300)
        self.operators = OperatorsTenants(database.owner_url)

    def over_budget(self, tenant: Tenant) -> bool:
        token = self.database.value("select ingest_token from dms_tenant where id = %(id)s", id=tenant.id)
        (match,) = self.small.resolve_tokens([token])
        return match.over_budget

    def waits(self, tenant: Tenant, message_id: str, sender: str | None = None) -> Claim:
        claim = self.claims.claim(values.ref(message_id=message_id))
        assert isinstance(claim, Claim)
        with self.tenants.tenant_context(tenant):
            self.turns.wait(claim, sender=sender)
        return claim

    def turns_given(self, limit: int = 100) -> list[str]:
        return [ref.message_id for ref in self.backlog.give_turns(values.MAILBOX, limit=limit, outstanding=0)]


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with store_of(database) as store:
        yield World(database, store)


def test_a_tenant_is_over_its_budget_once_so_many_mails_of_the_hour_are_stored(
    world: World, database: Database
) -> None:
    tenant, other = add_tenant(database, "one"), add_tenant(database, "two")
    for number in range(BUDGET):
        assert not world.over_budget(tenant)
        save(world, tenant, f"m{number}")
    assert world.over_budget(tenant)
    assert not world.over_budget(other)
    database.run("update ingest.tenant_hour set hour = hour - interval '1 hour'")
    assert not world.over_budget(tenant)
    save(world, tenant, "next-hour")
    assert world.operators.load(str(tenant.id)).mails_this_hour == 1


def test_a_mail_counts_once_however_often_it_is_saved(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    claim = save(world, tenant, "m1")
    with world.tenants.tenant_context(tenant):
        world.copies.save(claim, values.message(of=claim.ref), blob(tenant, "m1"), [], last=True)
    assert world.operators.load(str(tenant.id)).mails_this_hour == 1


def test_a_budget_of_ones_own_goes_before_the_one_of_all(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    world.operators.set_budget(str(tenant.id), ANNA, mails=0)
    assert world.operators.load(str(tenant.id)).budget == 0
    assert world.over_budget(tenant)
    world.operators.set_budget(str(tenant.id), ANNA, mails=1)
    assert not world.over_budget(tenant)
    save(world, tenant, "m1")
    assert world.over_budget(tenant)
    world.operators.set_budget(str(tenant.id), ANNA, mails=None)
    assert world.operators.load(str(tenant.id)).budget is None
    assert not world.over_budget(tenant)


def test_within_a_tenant_turns_go_round_the_senders(world: World, database: Database) -> None:
    tenant, other = add_tenant(database, "one"), add_tenant(database, "other")
    for number in range(4):
        world.waits(tenant, f"flood-{number}", "shop@wholesale.example")
    world.waits(tenant, "bill-0", "billing@supplier.example")
    world.waits(tenant, "unproven-0")
    world.waits(tenant, "bill-1", "Billing@Supplier.example")
    world.waits(other, "other-0")
    assert world.turns_given(5) == ["flood-0", "other-0", "bill-0", "unproven-0", "flood-1"]
    assert world.turns_given() == ["flood-2", "bill-1", "flood-3"]


def test_a_domain_of_any_number_of_senders_has_ten_turns_in_a_round(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    for number in range(12):
        world.waits(tenant, f"flood-{number}", f"{number}@{number % 3}.Catch-All.example")
    world.waits(tenant, "bill-0", "billing@supplier.example")
    world.waits(tenant, "unproven-0")
    world.waits(tenant, "bill-1", "billing@supplier.example")
    first = [*(f"flood-{number}" for number in range(10)), "bill-0", "unproven-0"]
    assert world.turns_given() == [*first, "flood-10", "flood-11", "bill-1"]


def test_mails_without_a_proven_sender_share_the_turns_of_one_sender(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    for number in range(12):
        world.waits(tenant, f"unproven-{number}")
    world.waits(tenant, "bill-0", "billing@supplier.example")
    world.waits(tenant, "bill-1", "billing@supplier.example")
    assert world.turns_given(4) == ["unproven-0", "bill-0", "unproven-1", "bill-1"]


def test_turns_go_round_the_tenants_and_oldest_first(world: World, database: Database) -> None:
    flood, other, third = (add_tenant(database, name) for name in ("flood", "other", "third"))
    for number in range(5):
        world.waits(flood, f"flood-{number}")
    world.waits(other, "other-0")
    world.waits(third, "third-0")
    world.waits(other, "other-1")
    assert world.turns_given(4) == ["flood-0", "other-0", "third-0", "flood-1"]
    assert world.turns_given() == ["flood-2", "other-1", "flood-3", "flood-4"]
    assert world.turns_given() == []


def test_what_waits_is_on_no_queue_and_in_no_listing(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    claim = world.waits(tenant, "A1")
    listed = [ListedMessage(ref=claim.ref, received_at=datetime.now(UTC))]
    assert world.backlog.outstanding(values.MAILBOX) == 0
    assert world.backlog.enqueue(values.MAILBOX, listed, outstanding=0) == []
    assert world.backlog.enqueue_abandoned(values.MAILBOX, outstanding=0) == []
    assert world.claims.claim(claim.ref) is None, "announced again, it costs no request"
    assert world.turns_given() == ["A1"]
    assert world.backlog.outstanding(values.MAILBOX) == 1
    again = world.claims.claim(MessageRef(mailbox=values.MAILBOX, message_id="A1", trigger=Trigger.SWEEP))
    assert again is not None


def test_what_no_turn_comes_for_is_taken_up_after_a_day(world: World, database: Database) -> None:
    world.waits(add_tenant(database, "one"), "A1")
    database.run("delete from dms_tenant")
    assert world.turns_given() == []
    database.run("update ingest.claim set next_try_at = next_try_at - interval '1 day'")
    assert [ref.message_id for ref in world.backlog.enqueue_abandoned(values.MAILBOX, outstanding=0)] == ["A1"]


def test_what_was_ingested_meanwhile_only_leaves_the_line(world: World, database: Database) -> None:
    world.waits(add_tenant(database, "one"), "A1")
    operators = MessageRef(mailbox=values.MAILBOX, message_id="A1", trigger=Trigger.OPERATOR)
    assert world.claims.claim(operators) is not None
    assert world.turns_given() == []
    assert world.turns_given() == []


def test_another_mailbox_has_a_line_of_its_own(world: World, database: Database) -> None:
    world.waits(add_tenant(database, "one"), "A1")
    assert world.backlog.give_turns(values.OTHER_MAILBOX, limit=10, outstanding=0) == []
    assert world.turns_given() == ["A1"]


def test_an_owner_that_lost_its_claim_puts_nothing_into_the_line(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    claim = world.claims.claim(values.ref(message_id="A1"))
    assert isinstance(claim, Claim)
    database.run("update ingest.claim set fence = fence + 1")
    with world.tenants.tenant_context(tenant), pytest.raises(LeaseLost):
        world.turns.wait(claim, sender=None)
    assert world.turns_given() == []


def test_the_operator_sees_who_waits_and_since_when(world: World, database: Database) -> None:
    tenant = add_tenant(database, "one")
    world.waits(tenant, "A1")
    world.waits(tenant, "A2")
    shown = world.operators.load(str(tenant.id))
    assert (shown.waiting, shown.waiting_since is not None) == (2, True)
    world.turns_given()
    assert world.operators.load(str(tenant.id)).waiting == 0


def test_a_mail_that_fails_for_more_than_a_day_is_counted(world: World, database: Database) -> None:
    claim = world.claims.claim(values.ref(message_id="A1"))
    assert isinstance(claim, Claim)
    world.claims.put_off(claim, "GraphUnavailable: get_mime: 504 after 6 attempts")
    world.waits(add_tenant(database, "one"), "A2")
    assert world.backlog.unfinished().failing == 0
    database.run("update ingest.claim set first_seen_at = now() - interval '25 hours'")
    assert world.backlog.unfinished().failing == 1
    database.run("update ingest.claim set ended_at = now() - interval '1 hour' where message_id = 'A1'")
    assert world.backlog.unfinished().failing == 0, "it ended, and came back since"
