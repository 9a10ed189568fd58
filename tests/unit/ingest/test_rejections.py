"""The record of a mail that goes to Quarantine: sender, subject, reason, and the tenant where the mail names one."""

from collections.abc import Sequence

import pytest

from ingest.codes import Reason
from ingest.errors import GraphUnavailable, NotFound, Rejected
from ingest.model.outcome import Quarantined
from ingest.model.tenant import Tenant
from ingest.pipeline import DEFECT_LIMIT
from ingest.settings import RouteMode
from tests.fakes.mail import email
from tests.fakes.values import OTHER_TOKEN, TOKEN
from tests.fakes.world import FIRST, OFF, OFF_TOKEN, TENANTS, World, address

UNKNOWN = "ab" * 16


@pytest.fixture
def world() -> World:
    return World()


def rejected(world: World) -> list[tuple[Tenant | None, Reason, str, str]]:
    """The records, each with tenant, reason, sender and subject."""
    return [
        (tenant, reason, message.sender, message.subject)
        for (_, tenant, reason), message in world.records.rejected.items()
    ]


def test_a_stored_mail_has_no_rejection_and_asks_for_none(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    assert world.records.rejected == {}
    assert not {"reject", "describe"} & set(world.journal.steps)


@pytest.mark.parametrize(
    ("to", "tenant", "reason"),
    [
        ([address(OFF_TOKEN)], OFF, Reason.TENANT_INACTIVE),
        ([address(UNKNOWN), address(OFF_TOKEN)], OFF, Reason.TENANT_INACTIVE),
        ([address(UNKNOWN)], None, Reason.UNKNOWN_TOKEN),
        (["somebody@dms.example"], None, Reason.NO_TOKEN),
    ],
)
def test_a_rejected_mail_is_recorded_for_the_tenant_that_it_names(
    world: World, to: Sequence[str], tenant: Tenant | None, reason: Reason
) -> None:
    ref = world.mail.deliver(email(to=to, subject="Rechnung 4711"))
    world.quarantined(ref, reason)
    assert rejected(world) == [(tenant, reason, "billing@supplier.example", "Rechnung 4711")]
    assert "describe" not in world.journal.steps  # the header was read anyway


def test_the_record_is_made_before_the_move(world: World) -> None:
    world.quarantined(world.mail.deliver(email(to=[address(UNKNOWN)])), Reason.UNKNOWN_TOKEN)
    assert world.journal.steps.index("reject") < world.journal.steps.index("quarantine")


def test_every_inactive_tenant_has_the_rejection_where_every_tenant_gets_a_copy() -> None:
    world = World(route=RouteMode.ALL)
    world.records.tenants = {**TENANTS, OTHER_TOKEN: (Tenant(id=2), False)}
    world.quarantined(world.mail.deliver(email(to=[address(OFF_TOKEN), address(OTHER_TOKEN)])), Reason.TENANT_INACTIVE)
    assert [tenant for tenant, *_ in rejected(world)] == [OFF, Tenant(id=2)]


def test_a_mail_of_an_old_address_is_recorded_for_its_inactive_tenant(world: World) -> None:
    world.records.old_addresses = {"invoices@old.example": (OFF, False)}
    world.quarantined(world.mail.deliver(email(to=["invoices@old.example"])), Reason.TENANT_INACTIVE)
    assert [tenant for tenant, *_ in rejected(world)] == [OFF]


def test_a_mail_that_is_given_up_is_recorded_as_graph_describes_it(world: World) -> None:
    ref = world.mail.deliver(email(to=[address(TOKEN)], subject="Schwierig"))
    world.pipeline.ingest_message(world.mail.deliver(email(to=[address(UNKNOWN)])))
    world.records.rejected.clear()
    world.records.claim(ref)
    world.records.row(ref).defects = DEFECT_LIMIT
    world.records.row(ref).lease_until = None
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.PROCESSING_FAILED)
    assert rejected(world) == [(FIRST, Reason.PROCESSING_FAILED, "billing@supplier.example", "Schwierig")]
    assert world.mail.folder(ref) == "Quarantine"


@pytest.mark.parametrize("trouble", [GraphUnavailable("down"), NotFound("gone"), Rejected(Reason.UNREADABLE)])
def test_a_mail_that_graph_does_not_describe_goes_to_quarantine_all_the_same(world: World, trouble: Exception) -> None:
    world.journal.trouble["describe"] = [trouble]
    ref = world.mail.deliver(email())
    world.records.claim(ref)
    world.records.row(ref).defects = DEFECT_LIMIT
    world.records.row(ref).lease_until = None
    world.quarantined(ref, Reason.PROCESSING_FAILED)
    assert rejected(world) == []


def test_an_owner_that_lost_its_lease_records_nothing(world: World) -> None:
    ref = world.mail.deliver(email(to=[address(UNKNOWN)]))
    claim = world.records.claim(ref)
    assert claim is not None
    world.records.steal(ref)
    world.records.reject_unattributed(claim, Reason.UNKNOWN_TOKEN, world.mail.describe(ref))
    assert rejected(world) == []


def test_a_mail_that_is_assigned_and_rejected_again_is_recorded_for_the_chosen_tenant(world: World) -> None:
    world.mail.unconvertible = True
    world.journal.trouble["message_json"] = [Rejected(Reason.UNREADABLE)]
    ref = world.mail.deliver(email(to=["somebody@dms.example"]))
    world.pipeline.ingest_message(ref, assigned=FIRST)
    assert [(tenant, reason) for tenant, reason, *_ in rejected(world)] == [(FIRST, Reason.UNREADABLE)]
