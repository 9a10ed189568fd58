"""Subscriptions of the simulator, and what it delivers to webhooks."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local.graph.admin.client import MessageState, SubscriptionState
from local.graph.process import Simulator, running_simulator
from tests.integration.local.graph_session import signed_in

pytestmark = pytest.mark.usefixtures("unmeasured")

CENTRAL, SECOND = "central@dms.example", "second@dms.example"
SECRET = "only-graph-knows"  # noqa: S105 - of this test only
INBOX = f"users/{CENTRAL}/mailFolders('inbox')/messages"
MAIL = b"From: a@b.example\r\nTo: c@dms.example\r\nSubject: hello\r\n\r\nhi\r\n"


@dataclass
class Webhook:
    """A server that shakes hands as Graph wants it and keeps each notification. `statuses` are its next answers."""

    url: str
    received: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    statuses: queue.Queue[int] = field(default_factory=queue.Queue)
    handshake: str = "echo"

    def next(self) -> dict[str, Any]:
        """The next notification body."""
        return self.received.get(timeout=120)

    def next_items(self, count: int) -> list[dict[str, Any]]:
        """So many items, in as many bodies as it takes."""
        items: list[dict[str, Any]] = []
        while len(items) < count:
            items += self.next()["value"]
        return items


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = parse_qs(urlsplit(self.path).query).get("validationToken")
            if token is not None:
                self.answer(200, {"echo": token[0], "wrong": "wrong"}[hook.handshake])
                return
            status = 202 if hook.statuses.empty() else hook.statuses.get()
            self.answer(status, "")
            hook.received.put({**json.loads(body), "path": self.path})

        def answer(self, status: int, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/api")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hook
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("simulator")
    options = ("--retry-base", "0.01", "--traffic", str(folder / "traffic.jsonl"))
    with running_simulator(folder / "data", [CENTRAL, SECOND], *options) as started:
        yield started


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    yield running
    for subscription in running.admin.subscriptions():
        running.admin.remove_subscription(subscription.id)
    running.admin.set_notification_faults()
    running.admin.reset_counters()


@pytest.fixture
def graph(simulator: Simulator) -> Iterator[requests.Session]:
    with signed_in(simulator) as session:
        yield session


def body(webhook: Webhook, **changes: object) -> dict[str, object]:
    return {
        "changeType": "created",
        "notificationUrl": f"{webhook.url}/notifications",
        "lifecycleNotificationUrl": f"{webhook.url}/lifecycle",
        "resource": INBOX,
        "expirationDateTime": (datetime.now(UTC) + timedelta(days=6)).isoformat(),
        "clientState": SECRET,
    } | changes


def create(
    simulator: Simulator, graph: requests.Session, webhook: Webhook, status: int = 201, **changes: object
) -> dict[str, Any]:
    response = graph.post(f"{simulator.graph_base_url}/subscriptions", json=body(webhook, **changes))
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def deliver(simulator: Simulator, address: str = CENTRAL) -> MessageState:
    return simulator.admin.deliver(MAIL, [address])[0]


def only_subscription(simulator: Simulator) -> SubscriptionState:
    [subscription] = simulator.admin.subscriptions()
    return subscription


def test_a_new_mail_is_notified_with_its_immutable_id(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    subscription = create(simulator, graph, webhook)
    assert subscription["clientState"] == SECRET
    message = deliver(simulator)
    deliver(simulator, SECOND)
    notification = webhook.next()
    [item] = notification["value"]
    assert notification["path"] == "/api/notifications"
    assert item["subscriptionId"] == subscription["id"]
    assert item["clientState"] == SECRET
    assert item["tenantId"] == simulator.identity.tenant_id
    assert item["changeType"] == "created"
    assert item["resourceData"]["@odata.type"] == "#Microsoft.Graph.Message"
    assert item["resourceData"]["id"] == message.id
    assert graph.get(f"{simulator.graph_base_url}/{item['resource']}").json()["subject"] == "hello"
    assert webhook.received.empty()


def test_without_the_header_the_ids_are_the_default_ones(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    graph.headers["Prefer"] = ""
    create(simulator, graph, webhook)
    message = deliver(simulator)
    [item] = webhook.next()["value"]
    assert item["resourceData"]["id"] != message.id
    assert graph.get(f"{simulator.graph_base_url}/{item['resource']}").status_code == 200


def test_moving_into_the_inbox_is_created_again(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    create(simulator, graph, webhook)
    message = deliver(simulator)
    webhook.next()
    simulator.admin.move(message.id, "archive")
    simulator.admin.move(message.id, "inbox")
    [item] = webhook.next()["value"]
    assert (item["changeType"], item["resourceData"]["id"]) == ("created", message.id)


@pytest.mark.parametrize("handshake", ["wrong"])
def test_without_the_echo_there_is_no_subscription(
    simulator: Simulator, graph: requests.Session, webhook: Webhook, handshake: str
) -> None:
    webhook.handshake = handshake
    error = create(simulator, graph, webhook, 400)["error"]
    assert error["code"] == "ValidationError"
    assert simulator.admin.subscriptions() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"notificationUrl": "http://elsewhere.example/hook"},
        {"notificationUrl": ""},
        {"lifecycleNotificationUrl": "http://127.0.0.1:1/nobody-listens"},
        {"clientState": "x" * 129},
        {"expirationDateTime": (datetime.now(UTC) + timedelta(minutes=10_090)).isoformat()},
        {"expirationDateTime": "tomorrow"},
        {"resource": "users/x/events"},
        {"changeType": "everything"},
        {"noSuchThing": True},
    ],
)
def test_a_bad_subscription_is_refused(
    simulator: Simulator, graph: requests.Session, webhook: Webhook, changes: dict[str, object]
) -> None:
    create(simulator, graph, webhook, 400, **changes)


def test_a_duplicate_is_refused_with_409(simulator: Simulator, graph: requests.Session, webhook: Webhook) -> None:
    first = create(simulator, graph, webhook)
    error = create(simulator, graph, webhook, 409)["error"]
    assert first["id"] in error["message"]
    create(simulator, graph, webhook, changeType="updated")


def test_less_than_45_minutes_become_45(simulator: Simulator, graph: requests.Session, webhook: Webhook) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    create(simulator, graph, webhook, expirationDateTime=soon.isoformat())
    assert only_subscription(simulator).expires > soon + timedelta(minutes=39)


def test_a_subscription_is_listed_renewed_and_deleted(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    subscription = create(simulator, graph, webhook)
    base = f"{simulator.graph_base_url}/subscriptions"
    url = f"{base}/{subscription['id']}"
    [listed] = graph.get(base).json()["value"]
    assert (listed["id"], listed["clientState"]) == (subscription["id"], None)
    later = datetime.now(UTC) + timedelta(days=6, hours=12)
    renewed = graph.patch(url, json={"expirationDateTime": later.isoformat()})
    assert datetime.fromisoformat(renewed.json()["expirationDateTime"]) == later
    assert graph.patch(url, json={"lifecycleNotificationUrl": f"{webhook.url}/x"}).status_code == 400
    assert graph.post(f"{url}/reauthorize").status_code == 200
    assert graph.delete(url).status_code == 204
    for response in (graph.get(url), graph.delete(url), graph.post(f"{url}/reauthorize")):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "ResourceNotFound"


def test_what_the_webhook_refuses_is_tried_again(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    create(simulator, graph, webhook)
    for status in (500, 401, 503):
        webhook.statuses.put(status)
    deliver(simulator)
    first, *others = (webhook.next() for _ in range(4))
    assert all(other == first for other in others)
    simulator.admin.wait_for(lambda: simulator.admin.notification_counters().get("delivered"))
    assert [(d.attempt, d.status) for d in simulator.admin.deliveries()] == [(1, 500), (2, 401), (3, 503), (4, 202)]


def test_a_burst_arrives_complete_and_in_few_posts(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    create(simulator, graph, webhook)
    simulator.admin.set_outage(on=True)
    messages = {deliver(simulator).id for _ in range(60)}
    simulator.admin.set_outage(on=False)
    assert {item["resourceData"]["id"] for item in webhook.next_items(60)} == messages
    simulator.admin.wait_for(lambda: simulator.admin.notification_counters().get("delivered") == 60)
    assert len(simulator.admin.deliveries()) < 30


def test_notifications_can_be_dropped_and_doubled(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    create(simulator, graph, webhook)
    simulator.admin.set_notification_faults(drop_next=1, double_probability=1.0)
    deliver(simulator)
    second = deliver(simulator)
    items = webhook.next_items(2)
    assert [item["resourceData"]["id"] for item in items] == [second.id, second.id]
    counters = simulator.admin.notification_counters()
    assert (counters["dropped"], counters["doubled"]) == (1, 1)


def test_delayed_notifications_can_be_sent_now(simulator: Simulator, graph: requests.Session, webhook: Webhook) -> None:
    create(simulator, graph, webhook)
    simulator.admin.set_notification_faults(delay=(3600, 3600))
    deliver(simulator)
    assert simulator.admin.notification_counters() == {"delayed": 1}
    simulator.admin.deliver_now()
    webhook.next()


def test_held_notifications_follow_a_lifecycle_event(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    subscription = create(simulator, graph, webhook)
    simulator.admin.emit_lifecycle(subscription["id"], "reauthorizationRequired", hold=True)
    notification = webhook.next()
    [item] = notification["value"]
    assert notification["path"] == "/api/lifecycle"
    assert item["lifecycleEvent"] == "reauthorizationRequired"
    assert item["clientState"] == SECRET
    assert "resource" not in item

    message = deliver(simulator)
    assert only_subscription(simulator).held == 1
    graph.post(f"{simulator.graph_base_url}/subscriptions/{subscription['id']}/reauthorize")
    [held] = webhook.next()["value"]
    assert held["resourceData"]["id"] == message.id


def test_reauthorization_is_asked_for_before_the_token_ends(tmp_path: Path, webhook: Webhook) -> None:
    with running_simulator(tmp_path / "data", [CENTRAL], "--subscription-token-lifetime", "1") as short:
        with signed_in(short) as session:
            create(short, session, webhook)
        assert webhook.next()["value"][0]["lifecycleEvent"] == "reauthorizationRequired"


def test_a_removed_subscription_says_so_and_a_silently_removed_one_does_not(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    first = create(simulator, graph, webhook)
    simulator.admin.emit_lifecycle(first["id"], "subscriptionRemoved")
    assert webhook.next()["value"][0]["lifecycleEvent"] == "subscriptionRemoved"
    second = create(simulator, graph, webhook)
    simulator.admin.remove_subscription(second["id"])
    assert simulator.admin.subscriptions() == []
    assert webhook.received.empty()


def test_a_mute_or_expired_subscription_sends_nothing(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    subscription = create(simulator, graph, webhook)
    simulator.admin.mute_subscription(subscription["id"])
    deliver(simulator)
    assert only_subscription(simulator).muted
    simulator.admin.expire_subscription(subscription["id"])
    assert simulator.admin.subscriptions() == []
    deliver(simulator)
    assert simulator.admin.deliveries() == []


def test_the_log_has_the_notification_but_not_client_state(
    simulator: Simulator, graph: requests.Session, webhook: Webhook
) -> None:
    subscription = create(simulator, graph, webhook)
    deliver(simulator)
    webhook.next()
    text = (simulator.ca_file.parent.parent / "traffic.jsonl").read_text()
    posted = [json.loads(line)["notification"] for line in text.splitlines() if line.startswith('{"notification"')]
    [mine] = [body for body in posted if body["value"][0]["subscriptionId"] == subscription["id"]]
    assert mine["value"][0]["changeType"] == "created"
    assert SECRET not in text
