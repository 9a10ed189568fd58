"""A tenant sees only its own: rights, row-level security, pooled connections, and every statement of the app."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Thread
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import DatabaseUnavailable, Defect, LeaseLost
from ingest.model.claim import Claim
from ingest.model.outcome import CleanedUp
from ingest.model.tenant import Tenant
from ingest.pipeline import Pipeline
from ingest.routing import Addressing
from ingest.settings import DEFAULT_ADDRESS_PATTERN
from ingest.storage import database as adapter
from ingest.storage.answers import Answers
from ingest.storage.backlog import Backlog
from ingest.storage.claims import Claims
from ingest.storage.copies import Copies
from ingest.storage.findings import Findings
from ingest.storage.rejections import Rejections
from ingest.storage.scans import Scans
from ingest.storage.tenants import Tenants
from ingest.storage.turns import Turns
from tests.fakes import values
from tests.fakes.blobs import FakeBlobs
from tests.fakes.mail import FakeMail, email
from tests.integration.databases import Database, Server
from tests.integration.stores import (
    TENANT_TABLES,
    Seeded,
    Store,
    add_tenant,
    as_tenant,
    blob,
    document,
    enter,
    everything_of,
    save,
    seed,
    store_of,
)

pytestmark = pytest.mark.shares("postgres")


@pytest.fixture(scope="module")
def catalog(server: Server, migrated_template: str) -> Iterator[Database]:
    """For tests that only look, or are refused."""
    with server.database(template=migrated_template) as database:
        add_tenant(database, "one")
        yield database


# Rights


def test_the_app_has_exactly_these_rights(catalog: Database) -> None:
    granted = catalog.rows(
        """
        select kind, name, string_agg(privilege, ' ' order by privilege) as rights
        from (
            select 'table' as kind, class.relname::text as name, acl.privilege_type as privilege, acl.grantee
                from pg_class as class, aclexplode(relacl) as acl
            union all
            select 'column', class.relname || '.' || attname, acl.privilege_type, acl.grantee
                from pg_attribute join pg_class as class on class.oid = attrelid, aclexplode(attacl) as acl
            union all
            select 'function', proname, acl.privilege_type, acl.grantee from pg_proc, aclexplode(proacl) as acl
            union all
            select 'schema', nspname, acl.privilege_type, acl.grantee from pg_namespace, aclexplode(nspacl) as acl
            union all
            select 'type', typname, acl.privilege_type, acl.grantee from pg_type, aclexplode(typacl) as acl
            union all
            select 'database', datname, acl.privilege_type, acl.grantee from pg_database, aclexplode(datacl) as acl
            union all
            select 'default', defaclobjtype::text, acl.privilege_type, acl.grantee
                from pg_default_acl, aclexplode(defaclacl) as acl
        ) as rights
        where grantee = 'ingest_app'::regrole
        group by kind, name order by kind, name
        """
    )
    assert {(row["kind"], row["name"]): row["rights"] for row in granted} == {
        ("schema", "ingest"): "USAGE",
        ("function", "current_tenant"): "EXECUTE",
        ("function", "enter_tenant"): "EXECUTE",
        ("function", "link_copy"): "EXECUTE",
        ("function", "recorded_blobs"): "EXECUTE",
        ("function", "note_passed_over"): "EXECUTE",
        ("function", "route_tokens"): "EXECUTE",
        ("function", "route_addresses"): "EXECUTE",
        ("function", "count_mail"): "EXECUTE",
        ("function", "wait_for_turn"): "EXECUTE",
        ("function", "give_turns"): "EXECUTE",
        **dict.fromkeys(
            (
                ("function", name)
                for name in (
                    "await_scan",
                    "record_scan",
                    "take_scans",
                    "scan_state",
                    "queue_answer",
                    "take_answers",
                    "end_answer",
                )
            ),
            "EXECUTE",
        ),
        ("table", "claim"): "INSERT SELECT UPDATE",
        ("table", "document"): "INSERT",
        ("table", "fence"): "USAGE",
        ("table", "message"): "INSERT",
        ("table", "part"): "INSERT",
        ("table", "rejection"): "INSERT",
        ("table", "finding"): "INSERT",
        **dict.fromkeys((("column", f"document.{name}") for name in ("id", "tenant_id")), "SELECT"),
        **dict.fromkeys((("column", f"message.{name}") for name in ("id", "claim_id", "tenant_id")), "SELECT"),
        **dict.fromkeys((("column", f"part.{name}") for name in ("id", "message_id", "tenant_id")), "SELECT"),
        ("column", "message.held_reason"): "SELECT",
        ("table", "schema_version"): "SELECT",
    }


def test_the_dms_reads_what_the_contract_names_and_nothing_else(catalog: Database) -> None:
    granted = catalog.rows(
        """
        select relname, privilege_type from pg_class, aclexplode(relacl) as acl
        where grantee = 'ingest_reader'::regrole order by relname
        """
    )
    assert {row["relname"]: row["privilege_type"] for row in granted} == dict.fromkeys(
        (
            "delivered",
            "document",
            "evidence",
            "held",
            "mail_history",
            "message",
            "part",
            "rejection",
            "scan",
            "tenant_name",
            "withheld",
        ),
        "SELECT",
    )
    columns = catalog.rows(
        """
        select relname || '.' || attname as name, privilege_type
        from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl) as acl
        where grantee = 'ingest_reader'::regrole
        """
    )
    assert {row["name"]: row["privilege_type"] for row in columns} == dict.fromkeys(
        ("claim.id", "claim.state", "claim.reason"), "SELECT"
    )
    callable_by_reader = catalog.rows(
        "select proname::text as name from pg_proc, aclexplode(proacl) where grantee = 'ingest_reader'::regrole"
    )
    assert {row["name"] for row in callable_by_reader} == {
        *("current_tenant", "decide_held", "upload_addresses"),
        *("sender_lists", "senders", "allow_senders", "remove_senders", "set_sender_mode"),
    }


def test_the_role_public_has_no_right(catalog: Database) -> None:
    assert (
        catalog.rows(
            """
            select relname::text as name from pg_class, aclexplode(relacl) as acl
                where grantee = 0 and relnamespace = 'ingest'::regnamespace
            union all select oid::regprocedure::text from pg_proc
                where pronamespace = 'ingest'::regnamespace and has_function_privilege('public', oid, 'EXECUTE')
            union all select nspname from pg_namespace, aclexplode(nspacl) as acl
                where grantee = 0 and nspname = 'ingest'
            """
        )
        == []
    )


def test_every_table_with_a_tenant_is_locked_to_tenants_or_to_everybody(catalog: Database) -> None:
    tables = catalog.rows(
        """
        select relname, relrowsecurity as enabled, relforcerowsecurity as forced,
            exists (select from aclexplode(relacl) where grantee <> relowner) as granted
        from pg_class join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id'
        where relnamespace = 'ingest'::regnamespace and relkind = 'r' order by relname
        """
    )
    assert {row["relname"] for row in tables} == {
        *TENANT_TABLES,
        *("assignment", "passed_over", "rejection", "token", "disabled_tenant", "old_address"),
        *("tenant_hour", "tenant_budget", "turn", "sender", "sender_list"),
        *("scan", "withheld", "scan_due", "answer", "answer_rule", "former_original"),
    }
    for row in tables:
        assert row["enabled"], row
        assert row["forced"] or not row["granted"], row


@pytest.mark.parametrize(
    "statement",
    [
        "select * from dms_tenant",
        "select id from dms_tenant limit 1",
        "select * from ingest.token",
        "select * from ingest.disabled_tenant",
        "select * from ingest.old_address",
        "select * from ingest.turn",
        "select * from ingest.passed_over",
        "select * from ingest.passed_over_by(1)",
        "select * from ingest.tenant_hour",
        "update ingest.tenant_budget set mails_an_hour = 0",
        "delete from ingest.turn",
        "select * from ingest.answer",
        "insert into ingest.answer_rule (kind, set_by) values ('received', 'x')",
        "select * from ingest.answer_rules(null)",
        "select ingest.set_answer(null, 'received', true, 'x', '')",
        "select * from ingest.scan",
        "select * from ingest.withheld",
        "delete from ingest.withheld",
        "select * from ingest.scan_due",
        "select * from ingest.former_original",
        "select ingest.withhold_content(1, '{x}')",
        "select ingest.end_left_claims('{}', now(), 'x', 'x')",
        "select ingest.release_document('00000000-0000-0000-0000-000000000000', 1, '', '')",
        "select ingest.may_receive(1)",
        "select ingest.over_budget(1, 0)",
        "select * from ingest.resolve_tokens(array['0123456789abcdef'])",
        "select * from ingest.resolve_addresses(array['a@b'])",
        "select * from ingest.old_addresses(1, true, 1)",
        "select ingest.add_old_address('a@b', 1, 'csv', '', '')",
        "select ingest.set_budget(1, 1, '', '')",
        "select * from ingest.tenant_load(1)",
        "select * from ingest.sender",
        "update ingest.sender_list set mode = 'off'",
        "update ingest.message set held_reason = null",
        "select ingest.allow_senders(1, '', array['a.example'], '', '')",
        "select ingest.set_sender_mode(1, '', 'off', '', '')",
        "select ingest.decide_held(1, 1, 'approve', '', '')",
        "select * from ingest.senders(1, 1)",
        "select * from ingest.sender_objection(1, '', 'a@b.example', true)",
        "select ingest.set_held(1, array[1], null)",
        "select ingest.add_upload_address(1, null, '', '')",
        "select * from ingest.upload_addresses(1)",
        "select * from ingest.held",
        "update dms_tenant set name = 'x'",
        "insert into dms_tenant (name) values ('x')",
        "update ingest.message set subject = 'x'",
        "select id from ingest.rejection",
        "select status from ingest.finding",
        "delete from ingest.finding",
        "update ingest.rejection set subject = 'x'",
        "delete from ingest.rejection",
        "select * from ingest.mail_history",
        "update ingest.document set name = 'x'",
        "delete from ingest.message",
        "delete from ingest.document",
        "delete from ingest.claim",
        "truncate ingest.claim",
        "insert into ingest.token (token, tenant_id) values ('x', 1)",
        "alter table ingest.document disable row level security",
        "drop policy tenant on ingest.document",
        "create table ingest.mine ()",
        "create schema mine",
        "set role ingest_reader",
        "select ingest.normal_token('x')",
        "create policy mine on ingest.message using (true)",
        "select subject from ingest.message",
        "select name from ingest.part",
        "select blob_name from ingest.document",
        "select * from ingest.context_key",
        "select ingest.context_proof('1')",
        "select ingest.open_tenant(1)",
        "insert into ingest.assignment (claim_id, tenant_id) values (1, 1)",
        "select ingest.assign_message('x', 'y', 1, '', '')",
        "select ingest.enter_tenant(1, 1, null)",
        "select ingest.enter_tenant(1, 1, 'a guess')",
        "select * from ingest.audit",
        "select * from ingest.evidence",
    ],
)
def test_the_app_may_not_run_the_statement(catalog: Database, statement: str) -> None:
    with catalog.app() as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())


# Row-level security


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_outside_of_a_context_nothing_is_visible(database: Database, store: Store, table: str) -> None:
    seed(database, store, "theirs")
    with database.app() as app:
        assert app.execute(f"select count(*) from ingest.{table}".encode()).fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            app.execute("set row_security = off").execute(f"select id from ingest.{table}".encode())


def test_outside_of_a_context_nothing_can_be_saved(database: Database, store: Store) -> None:
    tenant = add_tenant(database, "one")
    claim = store.claims.claim(values.ref())
    assert isinstance(claim, Claim)
    with pytest.raises(RuntimeError, match="inside tenant_context"):
        store.copies.save(claim, values.message(), blob(tenant, "x"), [document(tenant, "x")], last=True)
    ours = {"claim": claim.id, "tenant": tenant.id}
    with database.app() as app, pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        app.execute(Copies.INSERT_MESSAGE, {name: SAMPLES[name] for name in parameters(Copies.INSERT_MESSAGE)} | ours)


def test_the_owner_is_bound_as_well(database: Database, store: Store) -> None:
    ours = seed(database, store, "ours")
    assert database.value("select count(*) from ingest.document") == 0
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [ours.tenant.id])
        assert owner.execute("select id from ingest.document").fetchall() == [(ours.document,)]


def test_the_dms_reads_all_tenants_and_writes_nothing(database: Database, store: Store) -> None:
    seeded = [seed(database, store, mark) for mark in ("one", "two")]
    with psycopg.connect(database.reader_url, autocommit=True) as dms:
        found = dms.execute("select id from ingest.document order by created_at").fetchall()
        assert found == [(one.document,) for one in seeded]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            dms.execute("update ingest.document set name = 'x'")


def test_the_dms_sees_which_document_had_the_same_content_before_for_the_same_tenant(
    database: Database, store: Store
) -> None:
    ours, theirs = add_tenant(database, "ours"), add_tenant(database, "theirs")
    for tenant, mark in ((theirs, "x"), (ours, "a"), (ours, "b"), (ours, "c")):
        save(store, tenant, mark, replace(document(tenant, mark), sha256="same" if mark != "c" else "other"))
    with psycopg.connect(database.reader_url, autocommit=True) as dms:
        found = dms.execute("select name, id, sha256, duplicate_of from ingest.delivered").fetchall()
    ids = {name: key for name, key, _, _ in found}
    assert {name: (sha256, first) for name, _, sha256, first in found} == {
        "x.pdf": ("same", None),
        "a.pdf": ("same", None),
        "b.pdf": ("same", ids["a.pdf"]),
        "c.pdf": ("other", None),
    }


def test_a_part_can_not_be_hung_onto_another_tenants_message(database: Database, store: Store) -> None:
    """Postgres checks foreign keys past row-level security: they have to carry the tenant themselves."""
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    with as_tenant(database, ours.tenant) as app, pytest.raises(psycopg.errors.ForeignKeyViolation):
        app.execute(
            "insert into ingest.part (message_id, tenant_id, position, disposition, name)"
            " values (%s, %s, 9, 'document', 'x')",
            [theirs.message, ours.tenant.id],
        )


# A stolen app login


def test_a_stolen_login_names_no_tenant_by_itself(database: Database, store: Store) -> None:
    """Neither by the plain setting, nor by a signature of another transaction or session, nor by another's token."""
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    count = "select count(*) from ingest.message"
    with psycopg.connect(database.app_url) as app, psycopg.connect(database.app_url) as again:
        enter(app, theirs.tenant)
        assert app.execute(count.encode()).fetchone() == (1,)
        row = app.execute("select current_setting('ingest.tenant_proof')").fetchone()
        assert row is not None
        app.commit()
        for session in (app, again):
            session.execute("select set_config('ingest.tenant_id', %s, false)", [str(theirs.tenant.id)])
            assert session.execute(count.encode()).fetchone() == (0,)
            session.execute("select set_config('ingest.tenant_proof', %s, false)", row)
            assert session.execute(count.encode()).fetchone() == (0,)
            session.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            enter(again, replace(theirs.tenant, proof=ours.tenant.proof))


def test_a_signed_context_changes_to_no_other_tenant(database: Database, store: Store) -> None:
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    with psycopg.connect(database.app_url) as app:
        enter(app, ours.tenant)
        app.execute("select set_config('ingest.tenant_id', %s, true)", [str(theirs.tenant.id)])
        assert app.execute("select count(*) from ingest.message").fetchone() == (0,)


@pytest.mark.parametrize("verdict", ["clean", "malicious"])
def test_a_recorded_verdict_leaves_no_tenants_context_behind(database: Database, store: Store, verdict: str) -> None:
    """A stolen login can name a blob of any tenant. The rows of that tenant stay closed."""
    theirs = seed(database, store, "theirs")
    with psycopg.connect(database.app_url) as app:
        recorded = app.execute(
            "select ingest.record_scan('documents', %s, %s, 'x', '{}', null, null, false)",
            [f"{theirs.tenant.id}/x", verdict],
        ).fetchone()
        assert recorded == ("recorded",)
        assert app.execute("select ingest.current_tenant()").fetchone() == (None,)
        assert app.execute("select count(*) from ingest.message").fetchone() == (0,)


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_a_row_names_no_blob_of_another_tenant(database: Database, store: Store, table: str) -> None:
    ours, theirs = seed(database, store, "ours"), seed(database, store, "theirs")
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [ours.tenant.id])
        for name in (f"{theirs.tenant.id}/x", f"{ours.tenant.id}", "x", f"/{ours.tenant.id}/x"):
            with pytest.raises(psycopg.errors.CheckViolation, match=f"{table}_blob_of_tenant"), owner.transaction():
                owner.execute(f"update ingest.{table} set blob_name = %s".encode(), [name])


@pytest.mark.parametrize(
    "statement",
    [
        "update ingest.claim set state = 'stored'",
        "update ingest.claim set state = 'deleted'",
        "update ingest.claim set message_id = 'another'",
        "update ingest.claim set mailbox = 'another'",
        "update ingest.claim set assigned_by = 'anna'",
        "insert into ingest.claim (mailbox, message_id, state, trigger) values ('a', 'b', 'stored', 'webhook')",
        "insert into ingest.claim (mailbox, message_id, state, trigger) values ('a', 'b', 'deleted', 'webhook')",
        (
            "insert into ingest.claim (mailbox, message_id, state, trigger, assigned_by)"
            " values ('a', 'b', 'gone', 'x', 'y')"
        ),
    ],
)
def test_a_stolen_login_marks_no_mail_as_stored_without_a_copy(
    database: Database, store: Store, statement: str
) -> None:
    assert store.claims.claim(values.ref())
    with database.app() as app, pytest.raises(psycopg.errors.CheckViolation):
        app.execute(statement.encode())


def test_a_stored_mail_stays_stored(database: Database, store: Store) -> None:
    seed(database, store, "ours")
    with database.app() as app, pytest.raises(psycopg.errors.CheckViolation):
        app.execute("update ingest.claim set state = 'waiting'")


# All that is left to a stolen app login. docs/decisions/tenant-isolation.md says the same in words.
STILL_POSSIBLE = {
    "read which messages there are, with state, reason and last error, and no content": "select * from ingest.claim",
    "take claims, so that mails wait for a lease": "update ingest.claim set lease_until = now() + interval '1 day'",
    "end claims, so that mails wait for the next sweep": "update ingest.claim set state = 'gone'",
    "send stored mails to Quarantine, on record only": "update ingest.claim set state = 'quarantined'",
    "count attempts and defects, so that mails go to Quarantine": "update ingest.claim set defects = 5",
    "add": "insert into ingest.claim (mailbox, message_id, state, trigger) values ('a', 'b', 'waiting', 'sweep')",
    "note that tenants of tokens that it has were passed over": (
        "select ingest.note_passed_over(1, array['0123456789abcdef'], array['unknown_token'])"
    ),
    "give turns away, so that mails wait for a day": "select * from ingest.give_turns('upload@dms.cloud', 1)",
    "record findings of an examination, for operators to see": (
        "insert into ingest.finding (check_name, status) values ('x', 'ok')"
    ),
    "record that a mail of no tenant is rejected": (
        "insert into ingest.rejection (claim_id, reason, subject, sender, received_at, search)"
        " select id, 'x', 'x', 'x', now(), '' from ingest.claim"
    ),
    "hold the places at a mailbox": "select pg_try_advisory_lock(1, 1)",
    "ask for the tenant of a token that it has": "select * from ingest.route_tokens(array['0123456789abcdef'], 1)",
    "queue an answer that a tenant wants": "select ingest.queue_answer(1, '{received}', 'a@b.example', '{}')",
    "take and end queued answers": "select * from ingest.take_answers(9, 9)",
    "take the names of blobs that wait for a scan": "select * from ingest.take_scans(9, '0', '1 minute')",
    "record a verdict on a blob by its name": (
        "select ingest.record_scan('documents', '1/x', 'malicious', 'x', '{}', null, null, false)"
    ),
}


@pytest.mark.parametrize("what", STILL_POSSIBLE)
def test_a_stolen_login_can_still(database: Database, store: Store, what: str) -> None:
    assert store.claims.claim(values.ref())
    with psycopg.connect(database.app_url) as app:
        app.execute(STILL_POSSIBLE[what].encode())
        app.rollback()


def test_with_a_tenants_token_a_stolen_login_adds_rows_for_this_tenant(database: Database, store: Store) -> None:
    """Tokens are in addresses; so is the right to send mail there. It reads ids back, and no content."""
    tenant = add_tenant(database, "one")
    save(store, tenant, "forged")
    assert database.value("select count(*) from ingest.claim where state = 'stored'") == 1


def test_a_stolen_login_enters_the_tenant_of_an_assignment_by_a_guess_for_a_day(
    database: Database, store: Store
) -> None:
    tenant, other = add_tenant(database, "one"), add_tenant(database, "two")
    claim = store.claims.claim(values.ref())
    assert isinstance(claim, Claim)
    database.run(f"insert into ingest.assignment (claim_id, tenant_id) values ({claim.id}, {tenant.id})")
    for guess in (other, tenant):
        with psycopg.connect(database.app_url) as app:
            proof = {"claim": claim.id, "tenant": guess.id, "proof": None}
            if guess == tenant:
                app.execute(Tenants.ENTER, proof)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(Tenants.ENTER, proof)
    database.run("update ingest.assignment set assigned_at = now() - interval '25 hours'")
    with psycopg.connect(database.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(Tenants.ENTER, {"claim": claim.id, "tenant": tenant.id, "proof": None})


@pytest.mark.parametrize("state", ["stored", "deleted"])
def test_a_row_that_a_stolen_login_hangs_onto_a_mail_of_another_tenant_deletes_no_mail(
    database: Database, store: Store, state: str
) -> None:
    """The app files the mail for its own tenant before it deletes the mail."""
    thiefs, theirs = add_tenant(database, "thief"), add_tenant(database, "theirs")
    mail, blobs = FakeMail(), FakeBlobs()
    ref = mail.deliver(email(to=[f"upload.{theirs.proof}@dms.example"]))
    claim = store.claims.claim(ref)
    assert isinstance(claim, Claim)
    with store.tenants.tenant_context(thiefs):
        store.copies.save(claim, values.message(of=ref), blob(thiefs, "forged"), [], last=True)
    with database.app() as app:
        app.execute("update ingest.claim set lease_until = null, state = %s", [state])
    assert pipeline_of(store, mail, blobs).ingest_message(ref) == CleanedUp()
    assert mail.folder(ref) is None
    with as_tenant(database, theirs) as app:
        assert app.execute("select count(*) from ingest.document").fetchone() == (1,)
    assert any(name.startswith(f"{theirs.id}/") and name.endswith("original.eml") for name in blobs.names())


def test_a_row_that_a_stolen_login_forges_for_the_mails_own_tenant_keeps_the_mail_in_the_mailbox(
    database: Database, store: Store
) -> None:
    theirs = add_tenant(database, "theirs")
    mail, blobs = FakeMail(), FakeBlobs()
    ref = mail.deliver(email(to=[f"upload.{theirs.proof}@dms.example"]))
    mime, claim = mail.mime(ref), store.claims.claim(ref)
    assert isinstance(claim, Claim)
    with store.tenants.tenant_context(theirs):
        store.copies.save(claim, values.message(of=ref), blob(theirs, "forged"), [], last=True)
    with database.app() as app:
        app.execute("update ingest.claim set lease_until = null")
    with pytest.raises(Defect, match="are lost"):
        pipeline_of(store, mail, blobs).ingest_message(ref)
    assert mail.folder(ref) == "inbox"
    (original,) = (name for name in blobs.names() if name.endswith("original.eml"))
    assert b"".join(blobs.read(original)) == mime


def pipeline_of(store: Store, mail: FakeMail, blobs: FakeBlobs) -> Pipeline:
    return Pipeline(
        mail=mail,
        blobs=blobs,
        claims=store.claims,
        tenants=store.tenants,
        copies=store.copies,
        turns=Turns(store.pool, store.tenants),
        rejections=store.rejections,
        addressing=Addressing(pattern=re.compile(DEFAULT_ADDRESS_PATTERN, re.IGNORECASE)),
    )


# The context and the pool


def test_contexts_end_with_their_block_and_are_not_nested(database: Database, store: Store) -> None:
    one, two = add_tenant(database, "one"), add_tenant(database, "two")
    with pytest.raises(ZeroDivisionError), store.tenants.tenant_context(one):
        _ = 1 / 0
    with (
        store.tenants.tenant_context(one),
        pytest.raises(RuntimeError, match="nested"),
        store.tenants.tenant_context(two),
    ):
        pass
    claim = store.claims.claim(values.ref())
    assert isinstance(claim, Claim)
    with pytest.raises(RuntimeError, match="inside tenant_context"):
        store.copies.save(claim, values.message(), blob(one, "x"), [document(one, "x")], last=True)


def test_another_thread_is_not_in_the_context(database: Database, store: Store) -> None:
    tenant = add_tenant(database, "one")
    claim = store.claims.claim(values.ref())
    assert isinstance(claim, Claim)
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            store.copies.save(claim, values.message(), blob(tenant, "x"), [document(tenant, "x")], last=True)
        except RuntimeError as error:
            raised.append(error)

    with store.tenants.tenant_context(tenant):
        thread = Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(raised) == 1


def _commits(store: Store, tenant: Tenant) -> None:
    save(store, tenant, "committed")


def _refused(store: Store, tenant: Tenant) -> None:
    with pytest.raises(psycopg.IntegrityError):
        save(store, tenant, "refused", replace(document(tenant, "refused"), parent=42))  # no such part


def _lost(store: Store, tenant: Tenant) -> None:
    claim = store.claims.claim(values.ref(message_id="AAk-lost"))
    assert isinstance(claim, Claim)
    with pytest.raises(LeaseLost), store.tenants.tenant_context(tenant):
        store.copies.save(
            replace(claim, fence=-1), values.message(), blob(tenant, "lost"), [document(tenant, "lost")], last=True
        )


def _killed(store: Store, tenant: Tenant) -> None:
    def die() -> None:
        with store.pool.connection("test") as connection, connection.transaction():
            connection.execute(Tenants.ENTER, {"claim": 0, "tenant": tenant.id, "proof": tenant.proof})
            connection.execute("select pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseUnavailable):
        die()


@pytest.mark.parametrize("use", [_commits, _refused, _lost, _killed])
def test_the_next_user_of_a_connection_inherits_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, use: Callable[[Store, Tenant], None]
) -> None:
    monkeypatch.setattr(adapter, "POOL_SIZE", 1)  # so that the next user gets the same connection
    tenant = add_tenant(database, "one")
    with store_of(database) as store:
        use(store, tenant)
        with store.pool.connection("next") as connection:
            row = connection.execute(
                "select current_setting('ingest.tenant_id', true) as tenant, ingest.current_tenant() as current,"
                " (select count(*) from ingest.message) as visible"
            ).fetchone()
        assert row is not None
        assert (row["tenant"] or None, row["current"], row["visible"]) == (None, None, 0)


# Every statement of the app, with every mixture of one's own and another's

STATEMENTS: dict[str, str] = {
    name: text
    for subject in (Answers, Backlog, Claims, Copies, Findings, Rejections, Scans, Tenants, Turns)
    for name, text in vars(subject).items()
    if name.isupper() and name != "ENTER"  # which chooses the context
}


def parameters(statement: str) -> list[str]:
    return sorted(set(re.findall(r"%\((\w+)\)s", statement)))


# Some value for each parameter. A new one has to be added here: nothing goes untested.
SAMPLES: dict[str, object] = {
    **dict.fromkeys(("lease", "retry"), 60.0),
    **dict.fromkeys(("age", "distance"), 0.0),
    **dict.fromkeys(("verdict", "scanner", "said"), "clean"),
    **dict.fromkeys(("hidden", "unexpected"), True),
    "malware": ["x"],
    "kinds": ["received"],
    "recipient": "x@y.example",
    "quoted": "{}",
    **dict.fromkeys(("a_day", "of_domain", "of_tenant", "in_all"), 1),
    "seconds": 0.0,
    "outcome": "sent",
    "scanned_at": datetime(2026, 1, 1, tzinfo=UTC),
    **dict.fromkeys(("new", "defects", "overruns", "position", "size", "limit", "rules_version", "budget", "most"), 1),
    **dict.fromkeys(("parent", "related", "related_document"), None),
    **dict.fromkeys(("name", "subject", "sender", "internet_message_id", "declared_type", "detected_type"), "x"),
    **dict.fromkeys(("content_type", "container", "blob_name", "sha256", "error", "reason", "words", "header"), "x"),
    **dict.fromkeys(("encrypted", "type_mismatch", "last"), False),
    **dict.fromkeys(("invoice_kind", "invoice_profile", "invoice_number", "invoice_seller"), "x"),
    **dict.fromkeys(("invoice_currency", "invoice_problem"), "x"),
    **dict.fromkeys(("dmarc", "spf", "dkim", "arc", "compauth", "compauth_reason"), "pass"),
    **dict.fromkeys(("sender_authenticated", "sender_proven"), True),
    **dict.fromkeys(("sender_address", "purpose"), "x"),
    "invoice_issue_date": date(2026, 1, 1),
    "form": "mime",
    "checks": ["queue"],
    "statuses": ["ok"],
    "invoice_total": 1,
    "active_content": ["macros"],
    "disposition": "document",
    "trigger": "operator",
    "proofs": [],
    "whys": ["tenant_inactive"],
    "state": "gone",
    "mailbox": values.MAILBOX,
    "mailboxes": [values.MAILBOX],
    "received_at": datetime(2026, 1, 1, tzinfo=UTC),
    "received": [datetime(2026, 1, 1, tzinfo=UTC)],
    **dict.fromkeys(("claim", "tenant", "message", "document"), None),
}


def whose(name: str, ours: Seeded, theirs: Seeded) -> st.SearchStrategy[object]:
    """Values that could reach another tenant: any of ours, any of theirs."""
    both = (ours, theirs)
    choices: dict[str, list[object]] = {
        "tenant": [one.tenant.id for one in both],
        "message": [one.message for one in both],
        "claim": [one.claim.id for one in both],
        "id": [one.claim.id for one in both],
        "fence": [one.claim.fence for one in both],
        "message_id": [one.claim.ref.message_id for one in both],
        "message_ids": [[one.claim.ref.message_id] for one in both],
        "tokens": [[one.token] for one in both],
        "proofs": [[one.token] for one in both],
        "addresses": [[f"{one.mark}@old.example"] for one in both],
        "document": [one.document for one in both],
        "related_document": [None, *(one.document for one in both)],
        "position": [1, 2, 3],
        "parent": [None, 1],
        "related": [None, 1],
    }
    if name == "document":
        return st.one_of(st.sampled_from(choices[name]), st.builds(uuid4))
    return st.sampled_from(choices[name]) if name in choices else st.just(SAMPLES[name])


def test_no_statement_of_the_app_reaches_another_tenant(server: Server, database: Database, store: Store) -> None:
    ours, theirs = seed(database, store, "OUR-MARK"), seed(database, store, "THEIR-MARK")
    tried: set[str] = set()

    with psycopg.connect(database.app_url) as app, server.admin(database) as admin:
        before = everything_of(admin, theirs.tenant)

        @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(data=st.data())
        def try_one(data: st.DataObject) -> None:
            name = data.draw(st.sampled_from(sorted(STATEMENTS)), label="statement")
            chosen = {one: data.draw(whose(one, ours, theirs), label=one) for one in parameters(STATEMENTS[name])}
            if data.draw(st.booleans(), label="in our context"):
                enter(app, ours.tenant)
            tried.add(name)
            try:
                cursor = app.execute(STATEMENTS[name].encode(), chosen)
                rows = cursor.fetchall() if cursor.description else []
                app.commit()
            except (psycopg.errors.InsufficientPrivilege, psycopg.IntegrityError):
                app.rollback()
                return
            assert theirs.mark not in repr(rows) or name in SHOW_CLAIMS
            assert everything_of(admin, theirs.tenant) == before

        try_one()
    assert tried == STATEMENTS.keys()


# They give message ids back, which claims hold for all tenants; here the mark is in those as well.
SHOW_CLAIMS = {"CLAIM", "ENQUEUE", "ABANDONED", "GIVE_TURNS"}


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(guess=st.one_of(st.text(max_size=64), st.binary(max_size=16).map(bytes.hex)))
def test_a_guessed_token_has_no_tenant(catalog: Database, store: Store, guess: str) -> None:
    assert guess not in {row["ingest_token"] for row in catalog.rows("select ingest_token from dms_tenant")}
    assert store.tenants.resolve_tokens([guess.replace("\0", "")]) == []
