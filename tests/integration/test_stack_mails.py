"""Mails go the whole way: SMTP, Graph, webhook or sweep, queue, app, Blob and Postgres."""

import smtplib
from email import policy
from email.message import EmailMessage
from uuid import uuid4

import psycopg
import pytest

from local.demo.evidence import evidence
from local.demo.run import run_mails
from local.postgres import DMS_LOGIN
from local.stack import Stack
from local.tenants import DEMO_TENANTS, LocalTenant, upload_address
from operations.audit import Account
from operations.tenants.senders import Decision, SenderMode, Senders
from operations.tenants.upload_tokens import UploadTokens

pytestmark = pytest.mark.shares("stack")

ANNA = Account(why="a test", remark="anna")


def test_every_demo_mail_is_where_it_belongs(stack: Stack) -> None:
    tenants = [stack.add_tenant(name) for name in DEMO_TENANTS]
    verdicts = run_mails(stack, tenants)
    assert len(verdicts) >= 12
    assert {verdict.journey.mail.title: verdict.problems for verdict in verdicts if verdict.problems} == {}


@pytest.fixture(scope="module")
def reader(stack: Stack) -> None:
    """The DMS's login, which reads what the contract names."""
    stack.postgres.add_login(DMS_LOGIN)
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as owner:
        owner.execute(f"grant ingest_reader to {DMS_LOGIN}".encode())


PROVEN = (
    "spf=pass smtp.mailfrom={0}; dkim=pass header.d={0};dmarc=pass action=none header.from={0};compauth=pass reason=100"
)
BILLING = "billing@supplier.example"


def send(stack: Stack, to: str, subject: str, *, results: str | None, sender: str = BILLING) -> str:
    """Send a mail with one document by SMTP; return its Graph id. `results`: the topmost Authentication-Results."""
    mail = EmailMessage()
    if results is not None:
        mail["Authentication-Results"] = results
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Message-ID"] = message_id = f"<{uuid4()}@supplier.example>"
    mail.set_content("Anbei die Rechnung.")
    mail.add_attachment(b"%PDF-1.7\n" + subject.encode(), maintype="application", subtype="pdf", filename="r.pdf")
    assert stack.simulator is not None
    with smtplib.SMTP(stack.simulator.smtp_host, stack.simulator.smtp_port, timeout=60) as connection:
        connection.sendmail(
            "bounces@supplier.example", [stack.identity.mailboxes[0]], mail.as_bytes(policy=policy.SMTP)
        )
    return next(one.id for one in stack.admin.messages() if one.internet_message_id == message_id)


def rows(stack: Stack, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        return owner.execute(statement.encode(), parameters).fetchall()


def seen_by_dms(stack: Stack, tenant: LocalTenant) -> set[tuple[object, ...]]:
    """Return subject and purpose of each document that the DMS sees."""
    with psycopg.connect(stack.postgres.dms_url) as dms:
        return set(dms.execute("select subject, purpose from ingest.delivered where tenant_id::text = %s", [tenant.id]))


COPY = """
select purpose, sender_address, sender_proven, held_reason from ingest.message
join ingest.claim on claim.id = claim_id where message_id = %s
"""


@pytest.mark.usefixtures("reader")
def test_a_mail_of_a_sender_that_is_not_on_the_list_waits_until_a_person_approves(stack: Stack) -> None:
    tenant, senders = stack.add_tenant("Waiting room"), Senders(stack.postgres.owner_url)
    senders.set_mode(tenant.id, SenderMode.HOLD, ANNA)
    senders.allow(tenant.id, ["supplier.example"], ANNA)
    forged = f"mx.evil.example; {PROVEN.format('supplier.example')}"  # a stranger's field
    mails = {
        "on the list": send(stack, tenant.address, "on the list", results=PROVEN.format("supplier.example")),
        "unknown": send(stack, tenant.address, "unknown", results=PROVEN.format("a.example"), sender="x@a.example"),
        "forged": send(stack, tenant.address, "forged", results=forged),
        "two senders": send(
            stack,
            tenant.address,
            "two senders",
            results=PROVEN.format("supplier.example"),
            sender=f"{BILLING}, ceo@supplier.example",
        ),
    }
    for message_id in mails.values():
        stack.wait_for_end(message_id, "deleted")
    assert {subject: rows(stack, COPY, message_id) for subject, message_id in mails.items()} == {
        "on the list": [(None, BILLING, True, None)],
        "unknown": [(None, "x@a.example", True, "sender_unknown")],
        "forged": [(None, BILLING, False, "sender_unproven")],
        "two senders": [(None, None, False, "sender_unclear")],
    }
    assert seen_by_dms(stack, tenant) == {("on the list", None)}
    with evidence(stack) as kept:  # held or not, original and document are in Blob
        for message_id in mails.values():
            (copy,) = kept.stored(message_id)
            assert copy.original_sha256 is not None
            assert [one.blob_sha256 for one in copy.documents] == [one.recorded_sha256 for one in copy.documents]

    held = {mail.subject: mail for mail in senders.held(tenant=tenant.id, limit=10)}
    assert {subject: mail.held_reason for subject, mail in held.items()} == {
        "unknown": "sender_unknown",
        "forged": "sender_unproven",
        "two senders": "sender_unclear",
    }
    senders.decide(held["unknown"].number, Decision.APPROVE_SENDER, ANNA)
    second = send(stack, tenant.address, "known now", results=PROVEN.format("a.example"), sender="x@a.example")
    stack.wait_for_end(second, "deleted")
    assert {subject for subject, _ in seen_by_dms(stack, tenant)} == {"on the list", "unknown", "known now"}


@pytest.mark.usefixtures("reader")
def test_a_refused_mail_goes_to_quarantine_and_is_released_as_any_other(stack: Stack) -> None:
    tenant, senders = stack.add_tenant("Strict"), Senders(stack.postgres.owner_url)
    senders.set_mode(tenant.id, SenderMode.QUARANTINE, ANNA)
    mail = send(stack, tenant.address, "refused", results=PROVEN.format("supplier.example"))
    assert stack.wait_for_end(mail, "Quarantine").categories == ("sender_not_allowed",)
    assert rows(stack, COPY, mail) == []
    stack.admin.mark_read(mail, is_read=False)
    stack.admin.move(mail, "inbox")
    stack.wait_for_end(mail, "deleted")
    assert rows(stack, COPY, mail) == [(None, BILLING, True, None)]
    assert seen_by_dms(stack, tenant) == {("refused", None)}


@pytest.mark.usefixtures("reader")
def test_an_address_with_a_purpose_has_its_label_and_its_own_list_to_the_last_row(stack: Stack) -> None:
    tenant, senders = stack.add_tenant("Several addresses"), Senders(stack.postgres.owner_url)
    tokens = UploadTokens(stack.postgres.owner_url)
    cash, outgoing = (
        upload_address(tokens.add(tenant.id, ANNA, purpose=purpose).token) for purpose in ("cash", "outgoing")
    )
    senders.set_mode(tenant.id, SenderMode.HOLD, ANNA, purpose="outgoing")
    proven = PROVEN.format("supplier.example")
    mails = {
        "to cash": send(stack, cash, "to cash", results=proven),
        "to outgoing": send(stack, outgoing, "to outgoing", results=proven),
        "to the main address": send(stack, tenant.address, "to the main address", results=proven),
    }
    for message_id in mails.values():
        stack.wait_for_end(message_id, "deleted")
    assert {subject: rows(stack, COPY, message_id) for subject, message_id in mails.items()} == {
        "to cash": [("cash", BILLING, True, None)],
        "to outgoing": [("outgoing", BILLING, True, "sender_unknown")],
        "to the main address": [(None, BILLING, True, None)],
    }
    assert seen_by_dms(stack, tenant) == {("to cash", "cash"), ("to the main address", None)}
    assert rows(
        stack, "select purpose from ingest.document where tenant_id::text = %s order by purpose", tenant.id
    ) == [("cash",), ("outgoing",), (None,)]
