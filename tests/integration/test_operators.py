"""Operator actions: each on record with the database's login, none of them changeable by app or operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial

import psycopg
import pytest

from ingest.codes import PassedOver, Reason
from ingest.errors import OperatorError
from ingest.model.claim import Claim
from ingest.model.tenant import Tenant
from operations.audit import Account, Audit
from operations.mails.history import Histories
from operations.origin import acting_from, origin
from operations.schema.migrations import losses, migrate, roll_back
from operations.tenants.records import Holdings, Tenants, TenantState
from tests.fakes import values
from tests.integration.databases import OPERATOR, OWNER, Database, Server
from tests.integration.stores import Store, add_tenant, blob, document, everything_of, reject, seed, store_of

pytestmark = pytest.mark.shares("postgres")

ACCOUNT = Account(why="ticket 7", remark="anna")


class Container:
    """Blob names in memory."""

    container = "documents"

    def __init__(self, *names: str) -> None:
        self.blobs = set(names)
        self.there = True

    def has_container(self) -> bool:
        return self.there

    def names(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self.blobs if name.startswith(prefix)))

    def must_be_unprotected(self, name: str, *, now: object) -> bool:  # noqa: ARG002 - no blob here is protected
        return name in self.blobs

    def delete(self, name: str) -> None:
        self.blobs.discard(name)


@pytest.fixture
def tenants(database: Database) -> Tenants:
    return Tenants(database.operator_url)


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database.operator_url)


def test_every_action_is_recorded_with_the_login_of_the_database(
    database: Database, tenants: Tenants, audit: Audit
) -> None:
    tenant = add_tenant(database, "one")
    wanted = str(tenant.id)
    tenants.disable(wanted, ACCOUNT)
    tenants.enable(wanted, replace(ACCOUNT, remark=""))
    tenants.rotate(wanted, ACCOUNT, grace=timedelta(days=1))
    tenants.assign(values.ref(), wanted, ACCOUNT)
    audit.record("message.release", "AAk", ACCOUNT, details={"mailbox": "upload@dms.cloud"})

    entries = audit.newest(limit=10)[::-1]
    assert [entry.action for entry in entries] == [
        "tenant.disable",
        "tenant.enable",
        "tenant.rotate",
        "message.assign",
        "message.release",
    ]
    assert {entry.login for entry in entries} == {OPERATOR}
    assert {entry.origin for entry in entries} == {origin()}
    assert (entries[0].why, entries[0].remark, entries[0].subject) == ("ticket 7", "anna", f"tenant {tenant.id}")
    assert str(tenant.proof) not in repr(entries)  # a token is no business of the record
    assert audit.verify().entries == 5


def test_the_place_of_an_action_is_in_the_chain(database: Database, server: Server, audit: Audit) -> None:
    with acting_from("203.0.113.9 -c role=postgres"):
        audit.record("message.release", "AAk", ACCOUNT, details={})
    (entry,) = audit.newest(limit=1)
    assert entry.origin == "203.0.113.9_-c_role_postgres"
    with server.admin(database) as admin:
        admin.execute("alter table ingest.audit disable trigger audit_append_only")
        admin.execute("""update ingest.audit set details = '{"from": "elsewhere"}'""")
    with pytest.raises(OperatorError, match="entry 1 is not the one that was written"):
        audit.verify()


@pytest.mark.parametrize("role", ["app_url", "operator_url", "owner_url"])
@pytest.mark.parametrize(
    "statement",
    ["update ingest.audit set why = 'x'", "delete from ingest.audit", "truncate ingest.audit"],
)
def test_no_role_changes_an_entry(database: Database, audit: Audit, role: str, statement: str) -> None:
    audit.record("message.release", "AAk", ACCOUNT, details={})
    with (
        psycopg.connect(getattr(database, role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
    assert audit.verify().entries == 1


@pytest.mark.parametrize("role", ["app_url", "operator_url"])
def test_no_entry_is_written_but_by_the_owners_function(database: Database, role: str) -> None:
    with (
        psycopg.connect(getattr(database, role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("insert into ingest.audit values (1, now(), 'x', 'x', 'x', '{}', 'x', 'x', '', 'x')")


def test_the_app_records_nothing_in_the_name_of_an_operator(database: Database) -> None:
    with database.app() as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("select ingest.record_action('tenant.disable', 'x', '{}', '', '')")


@pytest.mark.parametrize(
    ("tampering", "number"),
    [
        ("update ingest.audit set why = 'nothing' where number = 2", 2),
        ("update ingest.audit set login = 'bert' where number = 1", 1),
        ("delete from ingest.audit where number = 2", 2),
        ("delete from ingest.audit where number = 1", 1),
    ],
)
def test_a_tampered_record_shows(server: Server, database: Database, audit: Audit, tampering: str, number: int) -> None:
    for subject in ("a", "b", "ü €"):
        audit.record("message.release", subject, ACCOUNT, details={"mailbox": "x"})
    with server.admin(database) as admin:  # past every right, and past the trigger
        admin.execute("alter table ingest.audit disable trigger audit_append_only")
        admin.execute(tampering.encode())
    with pytest.raises(OperatorError, match=f"entry {number} is"):
        audit.verify()


def test_entries_cut_off_at_the_end_show_by_a_hash_that_was_noted(
    server: Server, database: Database, audit: Audit
) -> None:
    audit.record("message.release", "a", ACCOUNT, details={})
    audit.record("message.release", "b", ACCOUNT, details={})
    noted = audit.verify().head
    audit.record("message.release", "c", ACCOUNT, details={})
    assert audit.verify(head=noted).entries == 3
    with server.admin(database) as admin:
        admin.execute("alter table ingest.audit disable trigger audit_append_only")
        admin.execute("delete from ingest.audit where number > 1")
    assert audit.verify().entries == 1
    with pytest.raises(OperatorError, match="--head"):
        audit.verify(head=noted)


def test_an_assigned_message_is_stored_for_that_tenant_and_no_other(
    database: Database, store: Store, tenants: Tenants
) -> None:
    one, two = (replace(add_tenant(database, name), proof=None) for name in ("one", "two"))
    tenants.assign(values.ref(), str(one.id), ACCOUNT)
    claim = store.claims.claim(values.ref())
    assert isinstance(claim, Claim)
    other = store.claims.claim(values.ref(message_id="AAk-other"))
    assert isinstance(other, Claim)
    for wrong, tenant in ((claim, two), (other, one)):
        with pytest.raises(Exception, match="InsufficientPrivilege"), store.tenants.tenant_context(tenant):
            store.copies.save(wrong, values.message(), blob(tenant, "x"), [document(tenant, "x")], last=True)
    with store.tenants.tenant_context(one):
        store.copies.save(claim, values.message(), blob(one, "x"), [document(one, "x")], last=True)


def test_a_mail_that_is_stored_for_one_tenant_is_assigned_to_no_other(
    database: Database, store: Store, tenants: Tenants, audit: Audit
) -> None:
    ours, theirs = seed(database, store, "ours"), add_tenant(database, "theirs")
    with pytest.raises(OperatorError, match=rf"copies: {ours.tenant.id}\)"):
        tenants.assign(ours.claim.ref, str(theirs.id), ACCOUNT)
    assert audit.newest(limit=1) == []


def test_operators_learn_which_other_tenants_a_mail_was_addressed_to_and_no_token(
    database: Database, store: Store
) -> None:
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    unknown = "ab" * 16
    for noted in (
        {ours.token: PassedOver.ANOTHER_TENANT_FIRST},
        {unknown: PassedOver.UNKNOWN_TOKEN, theirs.token: PassedOver.TENANT_INACTIVE},
    ):  # the later notes take the place of the earlier ones
        store.tenants.note_passed_over(ours.claim, noted)
    found = Histories(database.operator_url).passed_over(ours.claim.id)
    assert [(other.tenant_id, other.tenant, other.why) for other in found] == [
        (None, None, "unknown_token"),
        (theirs.tenant.id, "theirs", "tenant_inactive"),
    ]
    kept = repr(database.rows("select * from ingest.passed_over"))
    assert not any(token in kept for token in (unknown, ours.token, theirs.token))
    with pytest.raises(OperatorError, match="too weak"):
        Histories(database.reader_url).passed_over(ours.claim.id)


# Forgetting a tenant


def disable(database: Database, tenants: Tenants, tenant: Tenant) -> None:
    """Disable a tenant, and let the time pass that a try may take."""
    tenants.disable(str(tenant.id), ACCOUNT)
    database.run(
        f"update ingest.disabled_tenant set disabled_at = now() - interval '1 hour' where tenant_id = {tenant.id}"
    )


def test_a_tenant_is_forgotten_and_no_other(
    server: Server, database: Database, store: Store, tenants: Tenants, audit: Audit
) -> None:
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    wanted = str(ours.tenant.id)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        database.run(f"delete from dms_tenant where id = {wanted}")  # no evidence is lost by a cascade
    newest = f"{theirs.tenant.id}/theirs"
    container = Container(f"{wanted}/a", f"{wanted}/b/c", f"{wanted}0/other", newest)
    holdings = tenants.holdings(wanted)
    assert holdings == Holdings(messages=1, documents=1, containers=("documents",))
    forget = partial(tenants.forget, wanted, ACCOUNT, containers=[container], lease_seconds=600)

    for one in (ours, theirs):
        reject(store, one.tenant, f"rejected {one.mark}", Reason.UNREADABLE)
    database.run(
        "insert into ingest.old_address (address, tenant_id, source, added_by)"
        f" values ('anna@ours.example', {wanted}, 'operator', 'anna')"
    )
    store.tenants.note_passed_over(ours.claim, {ours.token: PassedOver.ANOTHER_TENANT_FIRST})
    with pytest.raises(OperatorError, match="is not disabled"):
        forget(confirmed=holdings)
    disable(database, tenants, ours.tenant)
    with pytest.raises(OperatorError, match="have changed"):
        forget(confirmed=replace(holdings, messages=2))
    assert len(container.blobs) == 4
    assert forget(confirmed=holdings) == 2

    assert container.blobs == {f"{wanted}0/other", newest}
    with server.admin(database) as admin:
        assert everything_of(admin, ours.tenant)[:-1] == [[], [], [], []]
        assert [len(rows) for rows in everything_of(admin, theirs.tenant)] == [1, 1, 1, 1, 1]
    assert database.value("select count(*) from ingest.old_address") == 0
    assert database.value("select count(*) from ingest.passed_over") == 0
    entry = audit.newest(limit=1)[0]
    assert entry.action == "tenant.forget"
    assert json.loads(entry.details) == {"messages": 1, "documents": 1, "rejections": 1, "from": origin()}
    database.run(f"delete from dms_tenant where id = {wanted}")
    assert tenants.show(str(theirs.tenant.id)).state is TenantState.ACTIVE


@pytest.mark.parametrize(("lease", "minutes"), [(1, 30), (3600, 60)])
def test_a_tenant_is_not_forgotten_while_a_mail_from_before_may_be_in_work(
    database: Database, store: Store, tenants: Tenants, lease: int, minutes: int
) -> None:
    ours = seed(database, store, "ours")
    wanted = str(ours.tenant.id)
    container = Container(f"{wanted}/ours")
    tenants.disable(wanted, ACCOUNT)
    forget = partial(tenants.forget, wanted, ACCOUNT, confirmed=tenants.holdings(wanted), containers=[container])
    disabled_at = tenants.show(wanted).disabled_at
    assert disabled_at is not None
    until = (disabled_at + timedelta(minutes=minutes)).astimezone(UTC)
    with pytest.raises(OperatorError, match=f"in work until {until:%Y-%m-%d %H:%M:%S}Z"):
        forget(lease_seconds=lease)
    assert container.blobs == {f"{wanted}/ours"}
    database.run(f"update ingest.disabled_tenant set disabled_at = now() - interval '{minutes} minutes'")
    assert forget(lease_seconds=lease) == 1


def test_no_tenant_is_forgotten_in_a_wrong_storage_account(
    server: Server, database: Database, store: Store, tenants: Tenants
) -> None:
    ours = seed(database, store, "ours")
    seed(database, store, "theirs")
    wanted = str(ours.tenant.id)
    disable(database, tenants, ours.tenant)
    container = Container(f"{wanted}/ours")
    forget = partial(
        tenants.forget,
        wanted,
        ACCOUNT,
        confirmed=tenants.holdings(wanted),
        containers=[Container(), container],
        lease_seconds=600,
    )
    with pytest.raises(OperatorError, match=r"lacks the newest mail on record.*INGEST_STORAGE"):
        forget()
    container.there = False
    with pytest.raises(OperatorError, match="Nothing was deleted: the storage account has no container documents"):
        forget(containers=[container])
    assert container.blobs == {f"{wanted}/ours"}
    with server.admin(database) as admin:
        assert [len(rows) for rows in everything_of(admin, ours.tenant)] == [1, 1, 1, 0, 1]


def test_rows_are_left_where_their_number_is_not_the_confirmed_one(
    server: Server, database: Database, store: Store, tenants: Tenants
) -> None:
    ours = seed(database, store, "ours")
    tenants.disable(str(ours.tenant.id), ACCOUNT)
    with (
        psycopg.connect(database.operator_url, autocommit=True) as operator,
        pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="nothing was deleted"),
    ):
        operator.execute("select ingest.forget_tenant(%s, 0, 0, 'x', 'x')", [ours.tenant.id])
    with server.admin(database) as admin:
        assert [len(rows) for rows in everything_of(admin, ours.tenant)] == [1, 1, 1, 0, 1]


# The way back


def test_taking_a_migration_back_is_announced_with_numbers_and_recorded(
    server: Server, empty_database: Database
) -> None:
    migrate(empty_database.owner_url)
    add_tenant(empty_database, "one")
    with store_of(empty_database) as store:
        seed(empty_database, store, "two")
    lines = losses(empty_database.owner_url, to=None)
    assert "0004_ingest: 1 claims, 1 tenants' mails with parts and documents" in lines
    assert "0005_token_history: 2 tokens, 0 disabled tenants" in lines
    assert "0012_operators: 0 recorded operator actions" in lines
    said: list[str] = []
    roll_back(empty_database.owner_url, ACCOUNT, to="0011_tenant_context", report=said.append)
    (entry,) = said
    assert entry.startswith("ingest.audit goes with 1 entries; its last hash was ")
    with server.admin(empty_database) as admin:
        assert admin.execute("select count(*) from ingest.message").fetchone() == (1,)


@pytest.mark.parametrize("why", ["", " \t\n"])
def test_no_action_goes_without_a_reason(database: Database, why: str) -> None:
    """Neither by the commands and the page, nor by a login that calls the functions itself."""
    with pytest.raises(OperatorError, match="needs a reason"):
        Account(why=why)
    tenant = add_tenant(database, "one")
    with (
        psycopg.connect(database.operator_url) as operator,
        pytest.raises(psycopg.errors.CheckViolation, match="needs a reason"),
    ):
        operator.execute("select ingest.disable_tenant(%s, %s, '')", [tenant.id, why])


def test_a_migration_that_is_taken_back_is_recorded_with_its_reason(empty_database: Database) -> None:
    migrate(empty_database.owner_url)
    roll_back(empty_database.owner_url, ACCOUNT, to="0021_forget_all")
    entry = Audit(empty_database.owner_url).newest(limit=1)[0]
    assert (entry.action, entry.subject, entry.why, entry.remark) == (
        "schema.back",
        "to 0021_forget_all",
        "ticket 7",
        "anna",
    )


def test_the_owner_counts_as_an_operator(database: Database) -> None:
    tenant = add_tenant(database, "one")
    Tenants(database.owner_url).disable(str(tenant.id), ACCOUNT)
    assert Audit(database.owner_url).newest(limit=1)[0].login == OWNER


def test_an_operator_reads_no_key_and_opens_no_context(database: Database) -> None:
    with psycopg.connect(database.operator_url, autocommit=True) as operator:
        for statement in (
            "select * from ingest.context_key",
            "select ingest.open_tenant(1)",
            "select 1 from dms_tenant",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(statement.encode())


def test_a_tenant_without_a_name_is_refused(database: Database) -> None:
    with pytest.raises(OperatorError, match="needs a name"):
        Tenants(database.owner_url).add(" ", ACCOUNT)
    added = Tenants(database.owner_url).add("one", ACCOUNT)
    assert isinstance(added.id, int)
    entry = Audit(database.owner_url).newest(limit=1)[0]
    assert (entry.action, entry.subject, entry.why) == ("tenant.add", f"tenant {added.id}", "ticket 7")
    assert Tenant(id=1) == Tenant(id=1, proof="x")
