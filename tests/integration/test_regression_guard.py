"""The cost of a mail, in numbers that do not depend on the machine: requests, statements, bytes held, imports.

Who makes one of them grow has to change it here, and say why.
"""

import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import make_msgid

import psycopg
import pytest

from ingest import trace, wiring
from ingest.codes import AnswerKind
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.outcome import Stored
from ingest.settings import Settings
from local.graph.admin.client import MessageState
from local.processes import ROOT
from local.stack import Stack
from operations.audit import Account
from operations.tenants.answers import AnswerRules
from operations.tenants.senders import SenderMode, Senders

pytestmark = pytest.mark.shares("stack")

MIB = 1024 * 1024
HEAVY = (
    "msal",
    "requests",
    "urllib3",
    "psycopg",
    "psycopg_pool",
    "azure.storage",
    "azure.identity",
    "typer",
    "alembic",
    "sqlalchemy",
)


@contextmanager
def app_at(stack: Stack, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[wiring.App]:
    """The app in this process, beside the host, at the same services."""
    description = json.loads((stack.data / "stack.json").read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", description["ca_file"])
    app = wiring.build(
        Settings.from_env(
            {
                "AZURE_INGEST_CLIENT_ID": description["client_id"],
                "AZURE_INGEST_CLIENT_SECRET": description["client_secret"],
                "AZURE_INGEST_TENANT_ID": description["tenant_id"],
                "AZURE_INGEST_MAILBOX": ",".join(description["mailboxes"]),
                "AZURE_AUTHORITY_HOST": description["authority_host"],
                "GRAPH_BASE_URL": description["graph_base_url"],
                "INGEST_NOTIFICATION_URL": description["functions_url"],
                "INGEST_CLIENT_STATE": "of-no-subscription",
                "INGEST_DATABASE_URL": description["database_url"],
                "INGEST_STORAGE": description["storage_connection_string"],
                "INGEST_SWEEP_SCOPE": "all",
            }
            | settings
        )
    )
    try:
        yield app
    finally:
        app.close()


@pytest.fixture
def app(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.App]:
    """The app with lists of senders, scanner and answers off."""
    with app_at(stack, monkeypatch) as app:
        yield app


@pytest.fixture
def address(stack: Stack) -> str:
    return stack.add_tenant("Regression guard").address


def invoice(address: str, size: int) -> EmailMessage:
    """Return a mail with one document."""
    mail = EmailMessage()
    mail["Message-ID"] = make_msgid(domain="example.com")
    mail["From"] = "supplier@example.com"
    mail["To"] = address
    mail["Subject"] = "Invoice"
    mail.set_content("Attached.")
    mail.add_attachment(b"%PDF-1.7\n" + bytes(size), maintype="application", subtype="pdf", filename="invoice.pdf")
    return mail


def proved_invoice(address: str) -> EmailMessage:
    """Return a mail as a known supplier sends one: with the proof of the sender."""
    mail = invoice(address, 100_000)
    mail["Authentication-Results"] = (
        "spf=pass smtp.mailfrom=example.com; dmarc=pass action=none header.from=example.com"
    )
    return mail


def delivered(stack: Stack, mail: EmailMessage) -> MessageState:
    """Deliver a mail to the inbox, unknown to the app: its notification is lost, the sweep skips it."""
    dropped = stack.admin.notification_counters().get("dropped", 0)
    stack.admin.set_notification_faults(drop_next=1)
    [state] = stack.admin.deliver(mail.as_bytes(), list(stack.identity.mailboxes[:1]))
    stack.admin.mark_read(state.id)
    stack.admin.wait_for(lambda: stack.admin.notification_counters().get("dropped", 0) > dropped)
    return state


@contextmanager
def calls() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()

    def count(name: str, phase: trace.Phase) -> None:
        if phase == "before" and not name.endswith(".content"):
            counted[name] += 1

    unsubscribe = trace.subscribe(count)
    yield counted
    unsubscribe()


def of(system: str, counted: Counter[str]) -> dict[str, int]:
    return {name: number for name, number in counted.items() if name.startswith(f"{system}.") and "gate" not in name}


def warm(app: wiring.App, stack: Stack, address: str) -> None:
    """The requests that a process makes once: a token, the inbox's id, the container."""
    state = delivered(stack, invoice(address, 10))
    app.pipeline.ingest_message(MessageRef(mailbox=state.mailbox, message_id=state.id))


def test_a_notified_mail_takes_two_requests_four_sql_calls_and_two_blobs(
    app: wiring.App, stack: Stack, address: str
) -> None:
    warm(app, stack, address)
    state = delivered(stack, invoice(address, 100_000))
    with calls() as counted:
        outcome = app.pipeline.ingest_message(MessageRef(mailbox=state.mailbox, message_id=state.id))
    assert outcome == Stored(documents=1)
    assert of("graph", counted) == {"graph.get_mime": 1, "graph.delete_message": 1}
    assert of("sql", counted) == {"sql.claim": 1, "sql.resolve_tokens": 1, "sql.save": 1, "sql.end": 1}
    assert of("blob", counted) == {"blob.put": 2}


def calls_of_a_proved_invoice(app: wiring.App, stack: Stack, address: str) -> dict[str, dict[str, int]]:
    """Bring in a mail of a known supplier; return the number of calls by system and name."""
    warm(app, stack, address)
    state = delivered(stack, proved_invoice(address))
    with calls() as counted:
        outcome = app.pipeline.ingest_message(MessageRef(mailbox=state.mailbox, message_id=state.id))
    assert outcome == Stored(documents=1)
    return {system: of(system, counted) for system in ("graph", "sql", "blob")}


def test_lists_scanner_and_answers_cost_a_mail_no_call(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = stack.add_tenant("Regression guard, all off")
    with app_at(stack, monkeypatch) as app:
        without = calls_of_a_proved_invoice(app, stack, plain.address)
    strict = stack.add_tenant("Regression guard, all on")
    reason = Account(why="a test")
    senders = Senders(stack.postgres.owner_url)
    senders.set_mode(strict.id, SenderMode.HOLD, reason)
    senders.allow(strict.id, ["supplier@example.com"], reason)
    AnswerRules(stack.postgres.owner_url).set(int(strict.id), AnswerKind.RECEIVED, reason, wanted=True)
    everything = {
        "INGEST_SCANNER": "defender",
        "INGEST_SCAN_HOLD": "until_clean",
        "INGEST_ANSWERS": "graph",
        "INGEST_ANSWERS_A_DAY": "9",
    }
    with app_at(stack, monkeypatch, **everything) as app:
        assert calls_of_a_proved_invoice(app, stack, strict.address) == without
    # Each of the three had its part in the mail: the list let the sender in, a scan and an answer are queued.
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute("select ingest.open_tenant(%s)", [int(strict.id)])
        held = owner.execute(
            "select held_reason from ingest.message where tenant_id = %s order by id",
            [int(strict.id)],
        ).fetchall()
        due = owner.execute("delete from ingest.scan_due where tenant_id = %s", [int(strict.id)]).rowcount
        answers = owner.execute(
            "delete from ingest.answer using ingest.message where answer.claim_id = message.claim_id"
            " and message.tenant_id = %s returning answer.kind",
            [int(strict.id)],
        ).fetchall()
    assert held == [("sender_unproven",), (None,)]  # the mail that warmed the app, and the one with its proof
    assert due == 2  # the mail, and the one that warmed the app
    assert answers == [("received",)]


def test_a_mail_that_the_sweep_found_takes_two_requests(app: wiring.App, stack: Stack, address: str) -> None:
    warm(app, stack, address)
    state = delivered(stack, invoice(address, 100_000))
    pages = list(app.mailboxes.list_inbox(state.mailbox))
    [found] = [item for page in pages for item in page if item.ref.message_id == state.id]
    assert found.ref.trigger is Trigger.SWEEP
    with calls() as counted:
        outcome = app.pipeline.ingest_message(found.ref)
    assert outcome == Stored(documents=1)
    assert of("graph", counted) == {"graph.get_mime": 1, "graph.delete_message": 1}


def test_memory_does_not_follow_the_size_of_a_mail(app: wiring.App, stack: Stack, address: str) -> None:
    warm(app, stack, address)
    peaks = []
    for size in (16 * MIB, 32 * MIB):
        state = delivered(stack, invoice(address, size))
        tracemalloc.start()
        outcome = app.pipeline.ingest_message(MessageRef(mailbox=state.mailbox, message_id=state.id))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert outcome == Stored(documents=1)
    assert peaks[0] <= 14 * MIB
    assert peaks[1] <= peaks[0] + 2 * MIB


def test_a_cold_start_imports_no_sdk() -> None:
    code = "import function_app, sys; print(*sorted(sys.modules))"
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    loaded = done.stdout.split()
    assert [module for module in loaded if module.startswith(HEAVY)] == []
    # The split of a module by subject adds to them: two of the values, two of the settings, telemetry's destinations.
    assert len([module for module in loaded if module.partition(".")[0] in {"ingest", "subscriptions"}]) <= 20
