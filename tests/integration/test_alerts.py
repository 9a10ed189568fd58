"""Each alert's condition, produced in a running system, makes its rule fire; before that the rule is quiet.

The rules are those of infra/alerts.json; tests/fakes/alerts.py evaluates them as infra/modules/alerts.bicep does.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from azure.storage.queue import QueueServiceClient

from ingest.model.message import LeftOver
from ingest.model.message_ref import Trigger
from ingest.queues import EVENTS
from ingest.settings import Scanner
from ingest.storage.backlog import Backlog
from ingest.storage.database import Database
from ingest.telemetry.recorder import Measurement, Record, Recorder
from local.stack import Stack
from local.tenants import upload_address
from scanning.scans import Watch
from tests.fakes.alerts import RULES
from tests.fakes.otlp import Point, Receiver, receiving
from tests.fakes.values import ref
from tests.unit.scanning.test_scans import FakeContent, FakeRecords, event

UNKNOWN = upload_address("0" * 32)
MAIL = b"From: someone@example.org\r\nTo: %s\r\nSubject: {number}\r\n\r\nAnbei.\r\n"
MAILS = 210


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "AZURE_INGEST_CLIENT_SECRET_EXPIRES": f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}",
    }
    with Stack(tmp_path_factory.mktemp("alerts"), settings=settings) as stack:
        yield stack


def fired(name: str, receiver: Receiver) -> bool:
    """Wait until the rule fires on what has come in."""
    return receiver.wait_for(lambda: RULES[name].fires(receiver.points))


def quiet(name: str, receiver: Receiver) -> bool:
    return not RULES[name].fires(receiver.points)


def run(stack: Stack, function: str) -> None:
    answer = requests.post(f"{stack.url}/admin/functions/{function}", json={"input": ""}, timeout=60)
    assert answer.status_code == requests.codes.accepted


def test_no_report_at_all_fires_until_one_comes(receiver: Receiver, stack: Stack) -> None:
    assert RULES["no-report"].fires([])
    stack.maintain()
    receiver.wait_for(lambda: receiver.values("ingest.mails.oldest_age"))
    assert quiet("no-report", receiver)


def test_a_credential_that_ends(receiver: Receiver, stack: Stack) -> None:
    stack.maintain()
    assert fired("credential-ends", receiver)


def test_the_oldest_mail(receiver: Receiver, stack: Stack) -> None:
    stack.maintain()
    assert quiet("oldest-mail", receiver)
    with psycopg.connect(stack.postgres.owner_url) as connection:
        connection.execute(
            "insert into ingest.claim (mailbox, message_id, state, trigger, first_seen_at, next_try_at) values"
            " ('upload@dms.cloud', 'waits', 'waiting', 'webhook', now() - interval '16 minutes',"
            " now() + interval '1 day')"
        )
    stack.maintain()
    assert fired("oldest-mail", receiver)


def test_quarantine_grows_and_holds(receiver: Receiver, stack: Stack) -> None:
    assert quiet("quarantine-grows", receiver)
    assert quiet("quarantine-holds", receiver)
    stack.admin.deliver_series(MAIL % UNKNOWN.encode(), [UNKNOWN], count=MAILS)
    assert fired("quarantine-grows", receiver)
    mailbox = stack.identity.mailboxes[0]
    stack.admin.wait_for(lambda: stack.admin.folders(mailbox).get("Quarantine") == MAILS or None, timeout=120)
    stack.maintain()
    assert fired("quarantine-holds", receiver)


def test_a_poison_queue(receiver: Receiver, stack: Stack) -> None:
    assert quiet("poison-queue", receiver)
    with QueueServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        queue = service.create_queue(f"{EVENTS}-poison")
        queue.send_message("what a function gave up on")
    stack.maintain()
    assert fired("poison-queue", receiver)


def test_a_subscription_that_is_not_renewed(receiver: Receiver, stack: Stack) -> None:
    assert quiet("subscription-ends", receiver)
    stack.admin.add_fault(403, method="POST", path="/subscriptions")
    for subscription in stack.admin.subscriptions():
        stack.admin.remove_subscription(subscription.id)
    stack.maintain()
    assert fired("subscription-ends", receiver)
    stack.admin.clear_faults()


def test_a_check_that_fails(receiver: Receiver, stack: Stack) -> None:
    assert quiet("doctor-fails", receiver)
    stack.admin.add_fault(403, path="/mailFolders")
    run(stack, "examine")
    assert fired("doctor-fails", receiver)
    stack.admin.clear_faults()


def test_notifications_that_are_silent(stack: Stack) -> None:
    """In this process, as no mail of the simulator is old: the sweep's own statement on the stack's database."""
    records: list[Record] = []
    end = Recorder(records.append).listen()
    database = Database(stack.postgres.app_url)
    now = datetime.now(UTC)
    try:
        backlog = Backlog(database, retry_seconds=300)
        old = [left_over(f"old {n}", now - timedelta(minutes=4)) for n in range(6)]
        young = [left_over(f"young {n}", now) for n in range(100)]
        backlog.enqueue(old[0].ref.mailbox, [*old, *young], outstanding=0)
    finally:
        end()
        database.close()
    (found,) = (one for one in records if isinstance(one, Measurement) and one.metric == "ingest.sweep.unannounced")
    assert found.value == 6
    silent = [point("ingest.sweep.unannounced", 6), point("ingest.mails", 100)]
    assert RULES["silent-notifications"].fires(silent)
    assert not RULES["silent-notifications"].fires([replace(silent[0], value=5), silent[1]])


def test_malware_and_results_that_are_not_expected() -> None:
    """In this process, on the watch's own events: Azurite has no scanner."""
    records: list[Record] = []
    end = Recorder(records.append).listen()
    try:
        for scanner, case in ((Scanner.DEFENDER, "clean"), (Scanner.DEFENDER, "malicious"), (Scanner.OFF, "clean")):
            Watch(scanner=scanner, records=FakeRecords(), blobs=FakeContent({})).take_event(event(case))
    finally:
        end()
    clean, malicious, *unexpected = [
        Point(metric=one.metric, unit="", value=one.value, attributes=dict(one.attributes), at=0)
        for one in records
        if isinstance(one, Measurement)
    ]
    assert not RULES["malware-found"].fires([clean])
    assert RULES["malware-found"].fires([clean, malicious])
    assert not RULES["scan-unexpected"].fires([clean, malicious])
    assert RULES["scan-unexpected"].fires(unexpected)


def left_over(message_id: str, received_at: datetime) -> LeftOver:
    return LeftOver(ref=ref(message_id, trigger=Trigger.SWEEP), received_at=received_at)


def point(metric: str, value: float) -> Point:
    return Point(metric=metric, unit="", value=value, attributes={}, at=0)


def test_every_rule_is_proven_here() -> None:
    source = Path(__file__).read_text("utf-8")
    for name in RULES:
        assert f'"{name}"' in source, f"no test produces the condition of {name}"
