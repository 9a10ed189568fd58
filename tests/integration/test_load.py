"""A backlog and a flood on running hosts: new mail of others goes first, and all of it is stored once in the end."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

import psycopg
import pytest

from local.stack import TIMERS_OFF, Stack
from local.tenants import LocalTenant

BACKLOG = 180
FLOOD = 60
BUDGET = 10
PATIENCE = 180.0  # seconds, for a machine that does much else


@pytest.fixture(scope="module")
def busy(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # noqa: ARG001 - for its effect
    """Two hosts on one mailbox, and a small budget for each tenant."""
    settings = {"INGEST_TENANT_BUDGET": str(BUDGET)}
    with Stack(tmp_path_factory.mktemp("busy"), hosts=2, settings=TIMERS_OFF | settings) as stack:
        stack.admin.set_latency(50)
        yield stack


def mail_to(tenant: LocalTenant, subject: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "supplier@example.com"
    mail["To"] = tenant.address
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{subject.replace(' ', '-')}@supplier.example>"
    mail.set_content("Attached.")
    content = f"%PDF-1.7\n{subject}".encode()
    mail.add_attachment(content, maintype="application", subtype="pdf", filename="invoice.pdf")
    return mail.as_bytes()


def in_inbox(stack: Stack) -> int:
    return stack.admin.folders(stack.identity.mailboxes[0])["Inbox"]


def arrive(stack: Stack, tenant: LocalTenant, subject: str) -> None:
    """Deliver a mail by webhook, and return when it is stored and deleted."""
    [state] = stack.admin.deliver(mail_to(tenant, subject), list(stack.identity.mailboxes))
    stack.wait_for_end(state.id, "deleted")


def value(stack: Stack, query: str) -> int:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        row = owner.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def waiting(stack: Stack) -> int:
    return value(stack, "select count(*) from ingest.claim where waits_since is not null and state = 'waiting'")


def everything_is_stored_once(stack: Stack, tenant: LocalTenant, mails: int) -> bool:
    query = "select count(*) from ingest.document where tenant_id = %s"
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute("select set_config('ingest.tenant_id', %s, false)", [tenant.id])
        row = owner.execute(query, [tenant.id]).fetchone()
    assert row is not None
    assert row[0] <= mails
    return bool(row[0] == mails)


def test_new_mail_goes_before_a_backlog(busy: Stack) -> None:
    backlog, other = busy.add_tenant("Backlog"), busy.add_tenant("New mail")
    busy.admin.set_notification_faults(drop_probability=1.0)
    template = mail_to(backlog, "old {number}")
    busy.admin.deliver_series(template, list(busy.identity.mailboxes), count=BACKLOG)
    busy.admin.set_notification_faults()
    busy.maintain()
    busy.admin.wait_for(lambda: in_inbox(busy) < BACKLOG, timeout=PATIENCE, what="the work on the backlog")
    arrive(busy, other, "new")
    assert in_inbox(busy) > BACKLOG // 2, "most of the backlog is still to be worked on"
    busy.wait_for_empty_inbox()
    assert everything_is_stored_once(busy, backlog, BACKLOG)
    assert value(busy, "select count(*) from ingest.claim where attempts > 1") == 0, "no queue message was a repetition"


def test_a_flood_of_one_tenant_waits_while_anothers_mail_is_stored(busy: Stack) -> None:
    flood, other = busy.add_tenant("Flood"), busy.add_tenant("Other")
    template = mail_to(flood, "flood {number}")
    busy.admin.deliver_series(template, list(busy.identity.mailboxes), count=FLOOD)
    busy.admin.wait_for(
        lambda: waiting(busy) > 0 and in_inbox(busy) == waiting(busy), timeout=PATIENCE, what="the flood to wait"
    )
    waits = waiting(busy)
    busy.admin.reset_counters()
    arrive(busy, other, "other")
    asked = sum(count for (route, _), count in busy.admin.requests().by_route.items() if "{message}" in route)
    assert asked <= 4, "only the other tenant's mail was asked for"
    assert waiting(busy) == waits
    busy.maintain()
    busy.wait_for_empty_inbox()
    assert everything_is_stored_once(busy, flood, FLOOD)
    # A late notification can put a mail in line again between its turn and its end: the next sweep takes it out.
    busy.maintain()
    busy.admin.wait_for(
        lambda: value(busy, "select count(*) from ingest.turn") == 0, timeout=PATIENCE, what="the end of the line"
    )
