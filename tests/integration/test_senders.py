"""Lists of allowed senders and the waiting room, in real Postgres: what the DMS sees, and who lets a mail in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from commands.app import app
from ingest.codes import HeldReason, Reason
from ingest.errors import LeaseLost, OperatorError
from ingest.model.claim import ClaimState
from ingest.model.message import Authentication
from ingest.model.tenant import Tenant
from operations.audit import Audit
from operations.mails.history import Histories
from operations.mails.search import Search
from operations.mails.withheld import WithheldDocuments
from operations.origin import origin
from operations.tenants.records import Tenants
from operations.tenants.senders import Decision, SenderMode, Senders
from operations.tenants.upload_tokens import UploadTokens
from tests.fakes import values
from tests.integration.databases import OPERATOR, READER, Database, Server
from tests.integration.stores import (
    ANNA,
    BILLING,
    Store,
    add_tenant,
    filed,
    mode,
    sent_by,
)

pytestmark = pytest.mark.shares("postgres")


def seen(database: Database, what: str = "delivered", role: str = READER) -> set[int]:
    """Return the numbers of the mails that a role sees in a view."""
    with psycopg.connect(database.url(role)) as connection:
        return {number for (number,) in connection.execute(f"select number from ingest.{what}".encode())}


def as_dms(database: Database, statement: str, *parameters: object) -> list[dict[str, Any]]:
    with psycopg.connect(database.reader_url, row_factory=dict_row, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


# Who waits


def test_without_a_mode_every_sender_is_let_in(database: Database, store: Store, tenant: Tenant) -> None:
    number, held = filed(store, tenant, sent_by(None, proven=False))
    assert held is None
    assert seen(database) == {number}


LISTED: dict[HeldReason | None, list[Authentication]] = {
    None: [sent_by(BILLING), sent_by("anyone@wholesale.example")],
    HeldReason.SENDER_UNPROVEN: [sent_by(BILLING, proven=False), sent_by("anyone@wholesale.example", proven=False)],
    HeldReason.SENDER_UNKNOWN: [
        sent_by("other@supplier.example"),
        sent_by("anyone@sub.wholesale.example"),
        sent_by("anyone@wholesale.example.evil"),
        sent_by("billing@xn--supplir-uof.example"),  # looks like supplier
        sent_by("anyone@unknown.example", proven=False),
        sent_by("%@%"),
        sent_by("billing@supplier.example\0"),
    ],
    HeldReason.SENDER_UNCLEAR: [sent_by(None), sent_by(None, proven=False)],  # two addresses, none, or a group
}


def test_a_list_lets_in_proven_senders_alone(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(tenant.id), [BILLING, "wholesale.example"], ANNA)
    filed_as = {reason: [filed(store, tenant, one) for one in cases] for reason, cases in LISTED.items()}
    assert {reason: {held for _, held in mails} for reason, mails in filed_as.items()} == {
        reason: {reason} for reason in LISTED
    }
    let_in = {number for number, _ in filed_as[None]}
    assert seen(database) == let_in
    assert seen(database, "held") == {number for mails in filed_as.values() for number, _ in mails} - let_in


def test_a_mail_that_waits_is_stored_as_always_and_hidden_from_the_dms(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    assert database.value("select state from ingest.claim where id = %(id)s", id=number) == "stored"
    for table in ("document", "delivered"):
        assert as_dms(database, f"select 1 from ingest.{table}") == []
    (held,) = as_dms(database, "select tenant_id, held_reason, sender, documents from ingest.held")
    assert (held["tenant_id"], held["held_reason"], held["sender"]) == (tenant.id, "sender_unknown", BILLING)
    assert len(held["documents"]) == 1  # their names, for the person who decides
    (own,) = as_dms(database, "select documents, withheld, held_reason from ingest.mail_history")
    assert own == {"documents": 1, "withheld": 1, "held_reason": "sender_unknown"}
    with psycopg.connect(database.url(OPERATOR)) as operator:
        assert operator.execute("select count(*) from ingest.document").fetchone() == (1,)


def test_another_tenant_is_not_affected(database: Database, store: Store, senders: Senders, tenant: Tenant) -> None:
    other = add_tenant(database, "two")
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(other.id), [BILLING], ANNA)
    assert filed(store, tenant, sent_by(BILLING))[1] is HeldReason.SENDER_UNKNOWN
    assert filed(store, other, sent_by("anyone@unknown.example"))[1] is None


def test_a_document_behind_a_hidden_one_of_the_same_content_is_no_duplicate_for_the_dms(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    filed(store, tenant, sent_by(BILLING))
    mode(senders, tenant, SenderMode.OFF)
    number, _ = filed(store, tenant, sent_by(BILLING))
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [tenant.id])
        owner.execute("update ingest.document set sha256 = 'same'")
    assert as_dms(database, "select number, duplicate_of from ingest.delivered") == [
        {"number": number, "duplicate_of": None}
    ]


# Who lets a mail in


def test_the_dms_approves_a_mail_for_a_user_and_hears_of_its_documents(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    with psycopg.connect(database.reader_url, autocommit=True) as listener:
        listener.execute("listen ingest_document")
        number, _ = filed(store, tenant, sent_by(BILLING))
        assert list(listener.notifies(timeout=0)) == []
        (held,) = as_dms(database, "select message_id from ingest.held where tenant_id = %s", tenant.id)
        (done,) = as_dms(
            database,
            "select ingest.decide_held(%s, %s, 'approve', 'our new supplier', 'user 17') as documents",
            *(tenant.id, held["message_id"]),
        )
        (document,) = as_dms(database, "select id, number from ingest.delivered")
        assert [one.payload for one in listener.notifies(timeout=60, stop_after=1)] == [str(document["id"])]
    assert (done["documents"], document["number"]) == (1, number)
    assert seen(database, "held") == set()
    entry, _ = Audit(database.operator_url).newest(limit=2)
    assert (entry.action, entry.login, entry.remark, entry.why) == (
        *("mail.approve", READER, "user 17", "our new supplier"),
    )
    assert filed(store, tenant, sent_by(BILLING))[1] is HeldReason.SENDER_UNKNOWN  # once, not for ever


def test_a_sender_that_is_approved_for_ever_lets_in_what_waits_and_what_comes(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    first, second = (filed(store, tenant, sent_by(BILLING))[0] for _ in range(2))
    forged, _ = filed(store, tenant, sent_by(BILLING, proven=False))
    other, _ = filed(store, tenant, sent_by("other@supplier.example"))
    assert senders.decide(first, Decision.APPROVE_SENDER, ANNA) == 1
    third, held = filed(store, tenant, sent_by(BILLING))
    assert held is None
    assert seen(database) == {first, second, third}
    assert seen(database, "held") == {forged, other}
    assert [one.entry for one in senders.all(str(tenant.id), limit=10)] == [BILLING]


def test_a_forged_sender_is_approved_once_and_never_for_ever(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    for sender in (sent_by(BILLING, proven=False), sent_by(None)):
        number, _ = filed(store, tenant, sender)
        with pytest.raises(OperatorError, match="not proven: approve the mail alone"):
            senders.decide(number, Decision.APPROVE_SENDER, ANNA)
        assert number not in seen(database)
        senders.decide(number, Decision.APPROVE, ANNA)
        assert number in seen(database)


def test_a_declined_mail_leaves_the_room_stays_hidden_and_can_be_approved_after_all(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    assert senders.decide(number, Decision.DECLINE, ANNA) == 1
    assert (seen(database), seen(database, "held")) == (set(), set())
    senders.allow(str(tenant.id), [BILLING], ANNA)
    assert seen(database) == set()
    senders.decide(number, Decision.APPROVE, ANNA)
    assert seen(database) == {number}


@pytest.mark.parametrize("first", ["scan", "sender"])
def test_a_release_lifts_the_hold_of_the_scan_and_a_decision_that_of_the_sender(
    database: Database, store: Store, senders: Senders, tenant: Tenant, first: str
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [tenant.id])
        owner.execute(
            "insert into ingest.withheld (document_id, tenant_id, reason)"
            " select id, tenant_id, 'malicious' from ingest.document"
        )
    withheld = WithheldDocuments(database.operator_url)
    (document,) = withheld.all(limit=10)
    assert document.reasons == ["malicious", "sender"]
    lift: dict[str, Callable[[], object]] = {
        "scan": lambda: withheld.release(document.document_id, ANNA),
        "sender": lambda: senders.decide(number, Decision.APPROVE, ANNA),
    }
    with psycopg.connect(database.reader_url, autocommit=True) as listener:
        listener.execute("listen ingest_document")
        lift.pop(first)()
        (left,) = withheld.all(limit=10)
        assert left.reasons == [{"scan": "sender", "sender": "malicious"}[first]]
        assert seen(database) == set()
        assert list(listener.notifies(timeout=0)) == []
        (last,) = lift.values()
        last()
        assert [one.payload for one in listener.notifies(timeout=60, stop_after=1)] == [str(document.document_id)]
    assert seen(database) == {number}
    assert withheld.all(limit=10) == []


def test_a_release_of_a_document_that_waits_for_its_sender_alone_is_refused(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    withheld = WithheldDocuments(database.operator_url)
    (document,) = withheld.all(limit=10)
    with pytest.raises(OperatorError, match="waits for an approval of its sender"):
        withheld.release(document.document_id, ANNA)
    assert (seen(database), seen(database, "held")) == (set(), {number})


@pytest.mark.parametrize("decision", ["approve", "approve_sender", "decline"])
def test_a_tenant_decides_on_its_own_mails_alone(
    database: Database, store: Store, senders: Senders, tenant: Tenant, decision: str
) -> None:
    other = add_tenant(database, "two")
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    (held,) = as_dms(database, "select message_id from ingest.held")
    with pytest.raises(psycopg.errors.NoDataFound, match="no such mail that waits"):
        as_dms(database, "select ingest.decide_held(%s, %s, %s, 'asked', '')", other.id, held["message_id"], decision)
    assert seen(database, "held") == {number}


def test_a_decision_leaves_no_tenants_context_open(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    filed(store, tenant, sent_by(BILLING))
    (held,) = as_dms(database, "select message_id from ingest.held")
    with psycopg.connect(database.reader_url) as dms:
        dms.execute("select ingest.decide_held(%s, %s, 'approve_sender', 'asked', '')", [tenant.id, held["message_id"]])
        assert dms.execute("select ingest.current_tenant()").fetchone() == (None,)


def test_the_dms_can_not_write_past_the_functions(database: Database) -> None:
    for statement in (
        "delete from ingest.withheld",
        "update ingest.message set held_reason = null",
        "insert into ingest.sender (tenant_id, purpose, entry, added_by, remark) values (1, '', 'a.example', '', '')",
        "select * from ingest.sender",
        "select ingest.set_held(1, array[1], null)",
        "select ingest.add_upload_address(1, 'cash', '', '')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_dms(database, statement)


def test_the_mode_is_no_judge_of_what_is_stored(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    early, _ = filed(store, tenant, sent_by(BILLING))
    mode(senders, tenant, SenderMode.HOLD)
    late, _ = filed(store, tenant, sent_by(BILLING))
    mode(senders, tenant, SenderMode.OFF)
    assert (seen(database), seen(database, "held")) == ({early}, {late})


# Quarantine


def refused(store: Store, tenant: Tenant, sender: Authentication) -> bool:
    (match,) = store.tenants.resolve_tokens([tenant.proof or ""], sender)
    return match.refused


@pytest.mark.parametrize("wanted", SenderMode)
def test_the_token_says_with_its_tenant_whether_the_sender_is_refused(
    store: Store, senders: Senders, tenant: Tenant, wanted: SenderMode
) -> None:
    mode(senders, tenant, wanted)
    senders.allow(str(tenant.id), [BILLING], ANNA)
    strict = wanted is SenderMode.QUARANTINE
    assert not refused(store, tenant, sent_by(BILLING))
    assert refused(store, tenant, sent_by(BILLING, proven=False)) is strict
    assert refused(store, tenant, sent_by("other@supplier.example")) is strict
    assert refused(store, tenant, sent_by(None)) is strict


def test_a_copy_for_a_refusing_tenant_waits_where_another_tenant_lets_the_mail_in(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.QUARANTINE)
    number, held = filed(store, tenant, sent_by(BILLING))
    assert held is HeldReason.SENDER_UNKNOWN
    assert seen(database, "held") == {number}


@pytest.mark.parametrize("wanted", [SenderMode.HOLD, SenderMode.QUARANTINE])
def test_a_mail_that_came_back_from_quarantine_is_let_in(
    store: Store, senders: Senders, tenant: Tenant, wanted: SenderMode
) -> None:
    mode(senders, tenant, wanted)
    claim = store.claims.claim(values.ref(message_id="AAk-released"))
    assert claim is not None
    assert not claim.sender_admitted
    store.claims.end(claim, ClaimState.QUARANTINED, reason=Reason.SENDER_NOT_ALLOWED)
    claim = store.claims.claim(claim.ref)
    assert claim is not None
    assert claim.sender_released
    assert not claim.sender_admitted
    store.claims.admit_sender(claim)
    assert filed(store, tenant, sent_by(BILLING), claim=claim)[1] is None
    store.claims.end(claim, ClaimState.DELETED)
    again = store.claims.claim(claim.ref)
    assert again is not None
    assert not again.sender_released
    assert not again.sender_admitted


def test_a_sender_is_let_in_by_the_owner_of_the_claim_alone(store: Store) -> None:
    claim = store.claims.claim(values.ref(message_id="AAk-taken"))
    assert claim is not None
    store.claims.put_off(claim, "down")
    assert store.claims.claim(claim.ref) is not None
    with pytest.raises(LeaseLost):
        store.claims.admit_sender(claim)


def test_a_mail_that_was_not_in_quarantine_lets_no_sender_in(store: Store) -> None:
    claim = store.claims.claim(values.ref(message_id="AAk-new"))
    assert claim is not None
    with pytest.raises(LeaseLost):
        store.claims.admit_sender(claim)


def test_a_mail_that_a_late_notification_found_in_quarantine_is_not_let_in(database: Database, store: Store) -> None:
    ref = values.ref(message_id="AAk-late")
    for _ in range(2):
        claim = store.claims.claim(ref)
        assert claim is not None
        admitted = "select sender_admitted from ingest.claim where message_id = %(id)s"
        assert not database.value(admitted, id=ref.message_id)
        store.claims.end(claim, ClaimState.QUARANTINED, reason=Reason.SENDER_NOT_ALLOWED)


def test_a_mail_that_an_operator_assigned_does_not_wait(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    claim = store.claims.claim(values.ref(message_id="AAk-assigned"))
    assert claim is not None
    Tenants(database.operator_url).assign(claim.ref, str(tenant.id), ANNA)
    assert filed(store, replace(tenant, proof=None), sent_by(BILLING), claim=claim)[1] is None


# Lists


def test_an_entry_has_one_form(senders: Senders, tenant: Tenant) -> None:
    forms = {
        "Billing@Supplier.EXAMPLE": BILLING,
        " @supplier.example ": "supplier.example",
        "m\u00fcller.example": "xn--mller-kva.example",
        "rechnung@M\u00fcller.example": "rechnung@xn--mller-kva.example",
    }
    for written, entry in forms.items():
        assert senders.allow(str(tenant.id), [written], ANNA) == 1
        assert senders.allow(str(tenant.id), [entry.upper()], ANNA) == 0
    found = senders.all(str(tenant.id), limit=10)
    assert {(one.entry, one.added_by, one.remark) for one in found} == {
        (entry, OPERATOR, "anna") for entry in forms.values()
    }


WRONG = (
    *("", "@", "a@", "localhost", "a b.example", "a@b@c.example", "*.example", "a@[192.0.2.1]", "-a.example"),
    *("a..example", "a" * 64 + ".example", "a@b.example, c@d.example", "<a@b.example>", "a@b.example;", "x" * 1000),
)


def test_what_is_no_sender_is_refused_by_the_commands_and_by_the_database(
    database: Database, senders: Senders, tenant: Tenant
) -> None:
    for wrong in WRONG:
        with pytest.raises(OperatorError, match="neither a mail address nor a domain"):
            senders.allow(str(tenant.id), [wrong], ANNA)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="neither a mail address nor a domain"):
            as_dms(database, "select ingest.allow_senders(%s, '', %s, 'asked', '')", tenant.id, [wrong])


def test_a_domain_in_letters_is_refused_by_the_database_which_compares_the_ascii_form(
    database: Database, tenant: Tenant
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="ASCII form"):
        as_dms(database, "select ingest.allow_senders(%s, '', array['m\u00fcller.example'], 'asked', '')", tenant.id)


def test_every_change_is_recorded_with_its_reason(database: Database, senders: Senders, tenant: Tenant) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(tenant.id), [BILLING], ANNA)
    senders.remove(str(tenant.id), [BILLING, "unknown.example"], ANNA)
    entries = Audit(database.operator_url).newest(limit=10)
    assert [(one.action, one.why, one.remark, one.subject) for one in entries] == [
        (action, ANNA.why, ANNA.remark, f"tenant {tenant.id}")
        for action in ("senders.remove", "senders.allow", "senders.mode")
    ]
    assert json.loads(entries[0].details) == {
        "purpose": "",
        "removed": 1,
        "entries": [BILLING, "unknown.example"],
        "from": origin(),
    }


def test_a_forgotten_tenant_takes_its_lists_along(database: Database, senders: Senders, tenant: Tenant) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(tenant.id), [BILLING], ANNA)
    tenants = Tenants(database.operator_url)
    tenants.disable(str(tenant.id), ANNA)
    database.run("update ingest.disabled_tenant set disabled_at = now() - interval '1 hour'")
    confirmed = tenants.holdings(str(tenant.id))
    tenants.forget(str(tenant.id), ANNA, confirmed=confirmed, containers=[], lease_seconds=600)
    assert senders.lists(str(tenant.id)) == []


def test_ten_thousand_entries_cost_a_mail_an_indexs_depth(
    database: Database, server: Server, senders: Senders, tenant: Tenant
) -> None:
    """Pages read, counted by Postgres, in the statement that resolves the token and in the one that stores the mail."""
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(tenant.id), [BILLING], ANNA)
    with server.admin(database) as admin:
        admin.execute("analyze")  # the planner believes in one entry

    def pages() -> int:
        statement = "select * from ingest.route_tokens(array[%s], 100, %s, true)"
        with database.owner() as owner:
            owner.execute(statement, [tenant.proof, BILLING])  # catalogues read, plans made
            plan = owner.execute(
                f"explain (analyze, buffers, format json) {statement}".encode(), [tenant.proof, BILLING]
            ).fetchone()
        assert plan is not None
        node = plan[0][0]["Plan"]
        return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])

    few = pages()
    assert senders.allow(str(tenant.id), [f"s{number}@many.example" for number in range(10_000)], ANNA) == 10_000
    assert pages() <= few + 4  # one index, two levels deeper, looked at for the address and the domain


# Purposes


def test_a_purpose_may_have_a_list_of_its_own(store: Store, senders: Senders, tenant: Tenant) -> None:
    outgoing = replace(tenant, purpose="outgoing")
    mode(senders, tenant, SenderMode.HOLD)
    senders.allow(str(tenant.id), [BILLING], ANNA)
    assert filed(store, outgoing, sent_by(BILLING))[1] is None  # no list of its own yet
    mode(senders, tenant, SenderMode.HOLD, "outgoing")
    senders.allow(str(tenant.id), ["one.example"], ANNA, purpose="outgoing")
    assert filed(store, outgoing, sent_by(BILLING))[1] is HeldReason.SENDER_UNKNOWN
    assert filed(store, outgoing, sent_by("anyone@one.example"))[1] is None
    assert filed(store, tenant, sent_by("anyone@one.example"))[1] is HeldReason.SENDER_UNKNOWN
    mode(senders, tenant, None, "outgoing")
    assert filed(store, outgoing, sent_by(BILLING))[1] is None


def test_a_sender_that_is_approved_for_ever_goes_on_the_list_that_held_the_mail(
    store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    mode(senders, tenant, SenderMode.HOLD, "outgoing")
    for purpose in ("outgoing", "cash"):  # cash has no list of its own
        number, _ = filed(store, replace(tenant, purpose=purpose), sent_by(f"{purpose}@one.example"))
        senders.decide(number, Decision.APPROVE_SENDER, ANNA)
    found = {(one.purpose, one.entry) for one in senders.all(str(tenant.id), limit=10)}
    assert found == {("outgoing", "outgoing@one.example"), ("", "cash@one.example")}


def test_the_purpose_stands_on_mail_and_document_and_in_the_view(
    database: Database, store: Store, tenant: Tenant
) -> None:
    filed(store, replace(tenant, purpose="cash"), sent_by(BILLING))
    filed(store, tenant, sent_by(BILLING))
    for source in ("message", "document", "delivered"):
        rows = as_dms(database, f"select purpose from ingest.{source} order by 1")
        assert [row["purpose"] for row in rows] == ["cash", None]


# Commands, search and history


@pytest.fixture
def cli(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("INGEST_OPERATOR_DATABASE_URL", database.operator_url)
    monkeypatch.setenv("INGEST_DATABASE_URL", database.operator_url)
    monkeypatch.setenv("INGEST_ADDRESS_DOMAINS", "dms.example")

    def run(*arguments: object, fails: int = 0) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert done.exit_code == fails, done.output
        said = done.exception if isinstance(done.exception, OperatorError) else ""
        return f"{done.output}{said}"

    return run


def parsed(text: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(text)


def test_the_commands_from_a_file_to_an_approval(
    database: Database, store: Store, tenant: Tenant, cli: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "suppliers.csv"
    file.write_text("sender,name\nbilling@a.example,A\nno sender,B\n,C\nb.example,D\n", encoding="utf-8-sig")
    imported = cli("tenants", "senders", "import", tenant.id, file, "--json", "--why", "ticket 7", fails=1)
    assert "line 3: 'no sender' is neither a mail address nor a domain." in imported
    assert "line 4: '' is neither" in imported
    assert '"added": 2' in imported
    assert "needs the column sender" in _refused(cli, tmp_path, tenant)

    cli("tenants", "senders", "mode", tenant.id, "hold", "--why", "spam", "--by", "anna")
    assert "is no mode" in cli("tenants", "senders", "mode", tenant.id, "strict", "--why", "ticket 7", fails=1)
    number, _ = filed(store, tenant, sent_by(BILLING))
    (waiting,) = parsed(cli("tenants", "senders", "waiting", "--json"))
    assert (waiting["number"], waiting["held_reason"], waiting["documents"]) == (number, "sender_unknown", 1)

    shown = parsed(cli("messages", "show", number, "--json"))
    assert shown["copies"][0]["held_reason"] == "sender_unknown"
    assert "waits for an approval: its sender is not on the list" in cli("messages", "show", number)
    assert parsed(cli("messages", "find", "held", "--json"))[0]["held_reason"] == "sender_unknown"

    cli("tenants", "senders", "approve", number, "--for-ever", "--by", "anna", "--why", "ticket 7")
    assert parsed(cli("tenants", "senders", "waiting", "--json")) == []
    listed = parsed(cli("tenants", "senders", "list", tenant.id, "--json"))
    assert [one["sender"] for one in listed] == ["b.example", "billing@a.example", BILLING]
    assert "hold" in cli("tenants", "senders", "list", tenant.id)
    cli("tenants", "senders", "remove", tenant.id, BILLING, "--why", "ticket 7")
    number, _ = filed(store, tenant, sent_by(BILLING))
    cli("tenants", "senders", "decline", number, "--why", "ticket 7")
    assert seen(database, "held") == set()
    assert parsed(cli("messages", "find", "held", "--json"))[0]["held_reason"] == "declined"


def _refused(cli: Callable[..., str], folder: Path, tenant: Tenant) -> str:
    file = folder / "wrong.csv"
    file.write_text("address\na@b.example\n")
    return cli("tenants", "senders", "import", tenant.id, file, "--why", "ticket 7", fails=1)


def test_an_address_with_a_purpose_from_the_command_to_the_row(
    database: Database, store: Store, tenant: Tenant, cli: Callable[..., str]
) -> None:
    main = cli("tenants", "address", tenant.id).strip()
    added = parsed(cli("tenants", "address", "add", tenant.id, "--purpose", "cash", "--json", "--why", "ticket 7"))
    assert added["purpose"] == "cash"
    assert not added["main"]
    token = added["address"].removeprefix("upload.").partition("@")[0]
    (match,) = store.tenants.resolve_tokens([token])
    assert (match.tenant, match.tenant.purpose, match.active) == (tenant, "cash", True)
    filed(store, match.tenant, sent_by(BILLING))
    assert as_dms(database, "select purpose from ingest.delivered") == [{"purpose": "cash"}]

    fresh = parsed(cli("tenants", "address", "rotate", added["address"], "--grace", "0", "--json", "--why", "ticket 7"))
    assert fresh["purpose"] == "cash"
    assert store.tenants.resolve_tokens([token]) == []
    assert cli("tenants", "address", tenant.id).strip() == main

    cli("tenants", "address", "purpose", main, "--purpose", "incoming", "--why", "ticket 7")
    rotated = parsed(cli("tenants", "rotate", tenant.id, "--why", "ticket 7", "--json"))
    assert rotated["purpose"] == "incoming"  # the new main address keeps the purpose
    assert rotated["further_addresses"] == [f"{fresh['address']} (cash)"]
    assert len(rotated["earlier_addresses"]) == 1
    listed = parsed(cli("tenants", "address", "list", tenant.id, "--json"))
    assert [(one["main"], one["purpose"]) for one in listed] == [
        (True, "incoming"),
        (False, "incoming"),
        (False, "cash"),
    ]

    assert "main address: rotate it" in cli(
        "tenants", "address", "remove", listed[0]["address"], "--why", "ticket 7", fails=1
    )
    cli("tenants", "address", "remove", fresh["address"], "--grace", "0", "--why", "ticket 7")
    assert "is no purpose" in cli(
        "tenants", "address", "add", tenant.id, "--purpose", "Cash Desk", "--why", "ticket 7", fails=1
    )
    assert "no tenant" in cli(
        "tenants", "address", "purpose", fresh["address"], "--purpose", "x", "--why", "ticket 7", fails=1
    )
    record = Audit(database.operator_url).newest(limit=20)
    assert {"address.give", "address.purpose", "address.end", "tenant.rotate"} <= {one.action for one in record}
    assert token not in repr(record)


def test_a_tenant_with_one_token_is_as_before(database: Database, store: Store, tenant: Tenant) -> None:
    (match,) = store.tenants.resolve_tokens([tenant.proof or ""])
    assert (match.tenant.purpose, match.refused) == (None, False)
    (only,) = UploadTokens(database.operator_url).of(str(tenant.id))
    assert (only.main, only.purpose, only.routes_until) == (True, None, None)


def test_a_tenant_may_have_several_addresses_of_one_purpose(database: Database, store: Store, tenant: Tenant) -> None:
    tokens = UploadTokens(database.operator_url)
    given = [tokens.add(str(tenant.id), ANNA, purpose="incoming") for _ in range(2)]
    matches = store.tenants.resolve_tokens([one.token for one in given])
    assert [(one.tenant, one.tenant.purpose) for one in matches] == [(tenant, "incoming")] * 2
    tokens.end(given[0].token, ANNA, grace=timedelta(0))
    assert [one.position for one in store.tenants.resolve_tokens([one.token for one in given])] == [2]


def test_the_history_of_a_mail_says_that_it_waits_and_a_tenants_search_too(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    number, _ = filed(store, tenant, sent_by(BILLING))
    found = Histories(database.operator_url).mail(number)
    assert found is not None
    assert [(copy.held_reason, copy.sender_proven) for copy in found.copies] == [("sender_unknown", True)]
    (row,) = Search(database.operator_url).find("held", tenant=str(tenant.id))
    assert (row.number, row.held_reason) == (number, "sender_unknown")
