"""Each alert's condition, produced in a running system, makes its rule fire; before that the rule is quiet.

The rules are those of infra/alerts.json; tests/fakes/alerts.py evaluates them as infra/modules/alerts.bicep does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from azure.storage.queue import QueueServiceClient

from ingest.queues import EVENTS
from local.stack import TIMERS_OFF, Stack
from local.tenants import upload_address
from tests.fakes.alerts import RULES
from tests.fakes.otlp import Receiver, receiving
from tests.integration.defender import result_of_defender

pytestmark = pytest.mark.usefixtures("unmeasured")

UNKNOWN = upload_address("0" * 32)
MAIL = b"From: someone@example.org\r\nTo: %s\r\nSubject: {number}\r\n\r\nAnbei.\r\n"
GROWS, HOLDS = 25, 210  # mails, a few more than the rules allow


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
    with Stack(tmp_path_factory.mktemp("alerts"), settings=TIMERS_OFF | settings) as stack:
        yield stack


def fired(name: str, receiver: Receiver) -> bool:
    """Wait until the rule fires on what has come in."""
    return receiver.wait_for(lambda: RULES[name].fires(receiver.points))


def quiet(name: str, receiver: Receiver) -> bool:
    return not RULES[name].fires(receiver.points)


def in_inbox(stack: Stack) -> list[str]:
    return [message.id for message in stack.admin.messages() if message.folder == "Inbox"]


def run(stack: Stack, function: str) -> None:
    answer = requests.post(f"{stack.url}/admin/functions/{function}", json={"input": ""}, timeout=60)
    assert answer.status_code == requests.codes.accepted


def test_no_report_at_all_fires_until_one_comes(receiver: Receiver, stack: Stack) -> None:
    assert RULES["no-report"].fires([])
    stack.maintain()
    receiver.wait_for(lambda: receiver.values("ingest.mails.oldest_age"))
    assert quiet("no-report", receiver)


def test_a_credential_that_ends_fires(receiver: Receiver, stack: Stack) -> None:
    stack.maintain()
    assert fired("credential-ends", receiver)


def test_notifications_that_are_silent_fire(receiver: Receiver, stack: Stack) -> None:
    assert quiet("silent-notifications", receiver)
    stack.admin.set_notification_faults(drop_probability=1.0)
    for _ in range(6):
        (mail,) = stack.admin.deliver(MAIL % UNKNOWN.encode(), [UNKNOWN])
        stack.admin.backdate(mail.id, 240)
    stack.maintain()
    assert fired("silent-notifications", receiver)
    stack.admin.set_notification_faults()


def test_a_mail_that_is_late_fires(receiver: Receiver, stack: Stack) -> None:
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


def test_a_quarantine_that_grows_and_one_that_holds_mails_fire(receiver: Receiver, stack: Stack) -> None:
    assert quiet("quarantine-grows", receiver)
    assert quiet("quarantine-holds", receiver)
    mail, mailbox = MAIL % UNKNOWN.encode(), stack.identity.mailboxes[0]
    stack.admin.deliver_series(mail, [UNKNOWN], count=GROWS)
    assert fired("quarantine-grows", receiver)
    stack.wait_for_empty_inbox()
    # The folder's size counts, also of mails that a person has moved there.
    stack.admin.set_notification_faults(drop_probability=1.0)
    stack.admin.deliver_series(mail, [UNKNOWN], count=HOLDS - GROWS)
    for message_id in in_inbox(stack):
        stack.admin.move(message_id, "Quarantine")
    stack.admin.set_notification_faults()
    assert stack.admin.folders(mailbox)["Quarantine"] >= HOLDS
    stack.maintain()
    assert fired("quarantine-holds", receiver)


def test_a_poison_queue_fires(receiver: Receiver, stack: Stack) -> None:
    assert quiet("poison-queue", receiver)
    with QueueServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        queue = service.create_queue(f"{EVENTS}-poison")
        queue.send_message("what a function gave up on")
    stack.maintain()
    assert fired("poison-queue", receiver)


def test_a_subscription_that_is_not_renewed_fires(receiver: Receiver, stack: Stack) -> None:
    assert quiet("subscription-ends", receiver)
    stack.admin.add_fault(403, method="POST", path="/subscriptions")
    for subscription in stack.admin.subscriptions():
        stack.admin.remove_subscription(subscription.id)
    stack.maintain()
    assert fired("subscription-ends", receiver)
    stack.admin.clear_faults()


def test_a_check_that_fails_fires(receiver: Receiver, stack: Stack) -> None:
    assert quiet("doctor-fails", receiver)
    stack.admin.add_fault(403, path="/mailFolders")
    run(stack, "examine")
    assert fired("doctor-fails", receiver)
    stack.admin.clear_faults()


def test_a_result_of_a_scan_that_is_not_expected_fires(receiver: Receiver, stack: Stack) -> None:
    assert quiet("scan-unexpected", receiver)
    result_of_defender(stack, stored_blob(stack), "clean")
    assert fired("scan-unexpected", receiver)


def test_malware_that_is_found_fires(receiver: Receiver, stack: Stack) -> None:
    assert quiet("malware-found", receiver)
    (host,) = stack.hosts
    host.stop()
    host.environment = {**host.environment, "INGEST_SCANNER": "defender"}
    host.start()
    result_of_defender(stack, stored_blob(stack), "malicious")
    assert fired("malware-found", receiver)


def stored_blob(stack: Stack) -> str:
    """The name of a stored document's blob."""
    tenant = stack.add_tenant("Malware GmbH")
    stack.admin.deliver(MAIL % tenant.address.encode(), [tenant.address])
    stack.maintain()

    def name() -> str | None:
        with psycopg.connect(stack.postgres.owner_url) as connection:
            row = connection.execute("select blob_name from ingest.document limit 1").fetchone()
            return None if row is None else str(row[0])

    return stack.admin.wait_for(name, what="a stored document")


def test_every_rule_of_an_alert_is_proven_here() -> None:
    source = Path(__file__).read_text("utf-8")
    for name in RULES:
        assert f'"{name}"' in source, f"no test produces the condition of {name}"
