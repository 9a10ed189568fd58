"""The triggers: what each of them does with what the host hands over."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import override

import azure.functions as func
import pytest

from answers import outbox
from ingest import wiring
from ingest.errors import DatabaseUnavailable, Defect, GraphUnavailable, MalformedRef, SettingsError
from ingest.model.message import ListedMessage
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import Settings
from ingest.sweep import Sweep
from scanning import scans
from scanning.results import NotAResult
from subscriptions import maintenance
from subscriptions.notifications import LifecycleEvent, NotANotification, SubscriptionEvent
from tests.fakes.functions import FUNCTIONS, FakeOut, app, post, queue_message
from tests.fakes.graph_endpoint import Answer, Graph, error, graph
from tests.fakes.mail import FakeMail, email
from tests.fakes.payloads import payload
from tests.fakes.records import FakeRecords
from tests.fakes.values import CLIENT_STATE, ENVIRONMENT, MAILBOX, OLD_CLIENT_STATE, OTHER_MAILBOX, ref


class FakePipeline:
    def __init__(self, trouble: Exception | None = None) -> None:
        self.ingested: list[MessageRef] = []
        self._trouble = trouble

    def ingest_message(self, ref: MessageRef) -> None:
        self.ingested.append(ref)
        if self._trouble:
            raise self._trouble


class FakeGate:
    """Knows whether its mailbox's other requests go first, or those of this mail."""

    yields = goes_first = False

    @contextmanager
    def yielding(self) -> Iterator[None]:
        self.yields = True
        yield
        self.yields = False

    @contextmanager
    def going_first(self) -> Iterator[None]:
        self.goes_first = True
        yield
        self.goes_first = False


class FakeTimer:
    def __init__(self, *, past_due: bool = False) -> None:
        self.past_due = past_due


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Settings and app are built once a process; each test is one."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    wiring.settings.cache_clear()
    maintenance.maintenance.cache_clear()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("INGEST_", "AZURE_INGEST_", "WEBSITE_", "GRAPH_BASE")):
            monkeypatch.delenv(name)


def use(monkeypatch: pytest.MonkeyPatch, **parts: object) -> None:
    monkeypatch.setattr(wiring, "app", lambda: app(**parts))


# Webhook

pytest_http = pytest.mark.parametrize("name", ["notifications", "lifecycle"])


@pytest_http
@pytest.mark.parametrize("token", ["Validation: Testing 123", "", "äöü 😀", "<script>alert(1)</script>", "a" * 4096])
@pytest.mark.usefixtures("unconfigured")
def test_the_handshake_is_echoed_as_plain_text_and_needs_no_settings(name: str, token: str) -> None:
    response, enqueued = post(name, b"", {"validationToken": token})
    assert (response.status_code, response.get_body().decode()) == (200, token)
    assert response.mimetype == "text/plain"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert enqueued == []


@pytest_http
def test_a_handshake_enqueues_nothing_of_its_body(name: str) -> None:
    _, enqueued = post(name, payload("notifications/one"), {"validationToken": "x", "mailbox": MAILBOX})
    assert enqueued == []


@pytest_http
def test_a_validation_token_has_a_limit(name: str) -> None:
    response, _ = post(name, b"", {"validationToken": "x" * 4097})
    assert response.status_code == 400
    assert b"xxx" not in response.get_body()


@pytest.mark.usefixtures("configured")
def test_every_message_of_a_post_is_enqueued_in_one_go() -> None:
    response, enqueued = post("notifications", payload("notifications/several_mixed"))
    assert response.status_code == 202
    assert [MessageRef.from_json(text) for text in enqueued] == [ref("A1"), ref("A5")]


@pytest.mark.usefixtures("configured")
def test_lifecycle_events_are_enqueued() -> None:
    response, enqueued = post("lifecycle", payload("lifecycle/all_events"))
    assert response.status_code == 202
    assert [SubscriptionEvent.from_json(text).event for text in enqueued] == list(LifecycleEvent)[:3]


@pytest.mark.usefixtures("configured")
def test_the_url_names_the_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_INGEST_MAILBOX", f"{MAILBOX},{OTHER_MAILBOX}")
    _, enqueued = post("notifications", payload("notifications/user_by_object_id"), {"mailbox": OTHER_MAILBOX})
    assert [MessageRef.from_json(text).mailbox for text in enqueued] == [OTHER_MAILBOX]


@pytest_http
@pytest.mark.usefixtures("configured")
def test_a_dropped_item_is_acknowledged_and_counted_and_not_logged_itself(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = payload("notifications/one").replace(CLIENT_STATE.encode(), b"leaked-guess")
    response, enqueued = post(name, body)
    assert (response.status_code, enqueued) == (202, [])
    assert "webhook.dropped client_state=1" in caplog.text
    assert not [secret for secret in ("leaked", CLIENT_STATE, OLD_CLIENT_STATE, "AAkALg1") if secret in caplog.text]


@pytest_http
@pytest.mark.usefixtures("configured")
def test_what_is_no_notification_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    response, enqueued = post(name, b"<leaked/>")
    assert (response.status_code, enqueued) == (400, [])
    assert b"leaked" not in response.get_body()
    assert "webhook.refused" in caplog.text


@pytest_http
@pytest.mark.usefixtures("unconfigured")
def test_without_settings_graph_is_to_try_again_and_the_log_names_them_all(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    response, enqueued = post(name, payload("notifications/one"))
    assert (response.status_code, enqueued) == (500, [])
    assert "settings.wrong" in caplog.text
    assert "AZURE_INGEST_CLIENT_ID is missing" in caplog.text
    assert "INGEST_DATABASE_URL is missing" in caplog.text
    assert b"AZURE" not in response.get_body()


# Queues


def test_new_mail_is_ingested_before_the_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = FakeGate()

    class Pipeline(FakePipeline):
        def ingest_message(self, ref: MessageRef) -> None:
            assert gate.goes_first
            super().ingest_message(ref)

    pipeline = Pipeline()
    use(monkeypatch, pipeline=pipeline, gate=gate)
    FUNCTIONS["ingest_message"](queue_message(ref(trigger=Trigger.SWEEP).to_json()))
    assert pipeline.ingested == [ref(trigger=Trigger.SWEEP)]
    assert not gate.goes_first


def test_a_message_of_the_backlog_lets_new_mail_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = FakeGate()

    class Pipeline(FakePipeline):
        def ingest_message(self, ref: MessageRef) -> None:
            assert gate.yields
            super().ingest_message(ref)

    pipeline = Pipeline()
    use(monkeypatch, pipeline=pipeline, gate=gate)
    FUNCTIONS["ingest_backlog"](queue_message(ref(trigger=Trigger.SWEEP).to_json()))
    assert pipeline.ingested == [ref(trigger=Trigger.SWEEP)]
    assert not gate.yields


@pytest.mark.parametrize("trouble", [GraphUnavailable("down"), Defect("ours")])
def test_what_the_pipeline_raises_makes_the_queue_try_again(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    use(monkeypatch, pipeline=FakePipeline(trouble), gate=FakeGate())
    with pytest.raises(type(trouble)):
        FUNCTIONS["ingest_message"](queue_message(ref().to_json()))


@pytest.mark.parametrize("text", [b"", b"leaked", b"\xff\xfe", b"{}", b"[" * 60_000])
@pytest.mark.parametrize("name", ["ingest_message", "ingest_backlog"])
def test_a_malformed_queue_message_is_logged_and_poisoned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: bytes, name: str
) -> None:
    use(monkeypatch)  # nothing of the app is needed to see that
    with pytest.raises(MalformedRef):
        FUNCTIONS[name](queue_message(text))
    assert "queue.malformed" in caplog.text
    assert "leaked" not in caplog.text
    again = FakeOut()
    FUNCTIONS[f"{name}_poison"](queue_message(text), again)
    assert again.values == [], "the message ends there"


@pytest.mark.parametrize("name", ["ingest_message_poison", "ingest_backlog_poison"])
def test_a_poisoned_message_is_noted_and_comes_back_by_the_sweep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    records, again = FakeRecords(), FakeOut()
    use(monkeypatch, backlog=records)
    FUNCTIONS[name](queue_message(ref().to_json()), again)
    assert records.row(ref()).next_try_at == 300
    assert "message.poisoned" in caplog.text
    assert again.values == []


@pytest.mark.parametrize("name", ["ingest_message_poison", "ingest_backlog_poison"])
def test_a_poisoned_message_that_can_not_be_noted_goes_back_to_its_queue(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    class Away:
        def note_poisoned(self, _ref: object) -> None:
            raise DatabaseUnavailable("down")

    again = FakeOut()
    use(monkeypatch, backlog=Away())
    FUNCTIONS[name](queue_message(ref().to_json()), again)
    assert again.values == [ref().to_json()]
    assert "message.put_back" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "ingest_message",
        "ingest_message_poison",
        "ingest_backlog",
        "ingest_backlog_poison",
        "subscription_event",
        "maintain",
    ],
)
@pytest.mark.usefixtures("unconfigured")
def test_without_settings_every_function_says_what_is_missing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    event = SubscriptionEvent(mailbox=MAILBOX, subscription_id="s1", event=LifecycleEvent.MISSED)
    arguments: dict[str, tuple[object, ...]] = {
        "ingest_message_poison": (queue_message(ref().to_json()), FakeOut()),
        "ingest_backlog_poison": (queue_message(ref().to_json()), FakeOut()),
        "subscription_event": (queue_message(event.to_json()), FakeOut()),
        "maintain": (FakeTimer(), FakeOut()),
    }
    with pytest.raises(SettingsError, match="AZURE_INGEST_CLIENT_ID is missing"):
        FUNCTIONS[name](*arguments.get(name, (queue_message(ref().to_json()),)))
    assert "settings.wrong" in caplog.text


# Subscriptions and sweep


class Cared:
    """An app with a Graph that answers by script and an inbox with mails."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *script: Answer | Exception,
        mailboxes: str = MAILBOX,
        mail: FakeMail | None = None,
    ) -> None:
        settings = Settings.from_env({**ENVIRONMENT, "AZURE_INGEST_MAILBOX": mailboxes})
        self.graph: Graph = graph(*script)
        self.mail = mail or FakeMail()
        sweep = Sweep(inbox=self.mail, backlog=FakeRecords(), limit=100)
        self.out = FakeOut()
        use(monkeypatch, settings=settings, graph=self.graph.client, sweep=sweep)

    @property
    def enqueued(self) -> list[MessageRef]:
        assert self.out.sets <= 1
        return [MessageRef.from_json(text) for text in self.out.values]

    def maintain(self, *, past_due: bool = False) -> None:
        FUNCTIONS["maintain"](FakeTimer(past_due=past_due), self.out)

    def happens(self, event: LifecycleEvent, mailbox: str = MAILBOX) -> None:
        sent = SubscriptionEvent(mailbox=mailbox, subscription_id="s1", event=event)
        FUNCTIONS["subscription_event"](queue_message(sent.to_json()), self.out)


class OneInboxUnreadable(FakeMail):
    """Mailboxes of which the first one's inbox can't be listed, however often."""

    @override
    def list_inbox(self, mailbox: str) -> Iterator[Sequence[ListedMessage]]:
        if mailbox == MAILBOX:
            raise ValueError("leaked")
        return super().list_inbox(mailbox)


NONE_LISTED = Answer(content={"value": []})
CREATED = Answer(status=201, content={"id": "s1"})


def test_the_timer_subscribes_and_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    cared = Cared(monkeypatch, NONE_LISTED, CREATED)
    left = cared.mail.deliver(email())
    cared.maintain()
    assert cared.graph.calls == [("GET", "/subscriptions"), ("POST", "/subscriptions")]
    assert cared.graph.requests[1].body["clientState"] == CLIENT_STATE
    assert [found.message_id for found in cared.enqueued] == [left.message_id]


def test_a_renewal_that_fails_stops_no_sweep(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    cared = Cared(monkeypatch, error(403, "ErrorAccessDenied"))
    cared.mail.deliver(email())
    cared.maintain()
    assert len(cared.enqueued) == 1
    assert "subscription.failed" in caplog.text


def test_trouble_of_one_mailbox_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    both = f"{MAILBOX},{OTHER_MAILBOX}"
    script = (NONE_LISTED, Answer(content=[1]), NONE_LISTED, CREATED)
    cared = Cared(monkeypatch, *script, mailboxes=both, mail=OneInboxUnreadable())
    cared.mail.deliver(email())
    left = cared.mail.deliver(email(), OTHER_MAILBOX)
    cared.maintain()
    assert [found.message_id for found in cared.enqueued] == [left.message_id]
    assert "sweep.failed" in caplog.text
    assert "leaked" not in caplog.text


def test_a_timer_that_comes_late_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    Cared(monkeypatch, NONE_LISTED, CREATED).maintain(past_due=True)
    assert "maintain.past_due" in caplog.text


def test_nothing_left_enqueues_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cared = Cared(monkeypatch, NONE_LISTED, CREATED)
    cared.maintain()
    assert cared.out.sets == 0


def listed(settings: Settings) -> Answer:
    from subscriptions.plan import wanted  # noqa: PLC0415 - for this one helper

    want = wanted(MAILBOX, settings.notification_url, settings.client_states[0])
    return Answer(
        content={
            "value": [
                {
                    "id": "s1",
                    "resource": want.resource,
                    "changeType": "created",
                    "notificationUrl": want.notification_url,
                    "lifecycleNotificationUrl": want.lifecycle_url,
                    "expirationDateTime": "2999-01-01T00:00:00Z",
                }
            ]
        }
    )


def test_reauthorization_renews_and_does_not_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    cared = Cared(monkeypatch, listed(Settings.from_env(ENVIRONMENT)), Answer(content={"id": "s1"}))
    cared.mail.deliver(email())
    cared.happens(LifecycleEvent.REAUTHORIZATION_REQUIRED)
    assert cared.graph.calls[-1] == ("PATCH", "/subscriptions/s1")
    assert cared.enqueued == []


@pytest.mark.parametrize("event", [LifecycleEvent.SUBSCRIPTION_REMOVED, LifecycleEvent.MISSED, LifecycleEvent.UNKNOWN])
def test_any_other_event_is_answered_by_a_living_subscription_and_a_sweep(
    monkeypatch: pytest.MonkeyPatch, event: LifecycleEvent
) -> None:
    cared = Cared(monkeypatch, NONE_LISTED, CREATED)
    cared.mail.deliver(email())
    cared.happens(event)
    assert cared.graph.calls[-1] == ("POST", "/subscriptions")
    assert len(cared.enqueued) == 1


def test_an_event_of_a_mailbox_that_is_no_longer_ours_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    cared = Cared(monkeypatch)
    cared.happens(LifecycleEvent.MISSED, "former@dms.example")
    assert cared.graph.requests == []


def test_an_event_that_can_not_be_answered_now_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cared = Cared(monkeypatch, error(403))
    with pytest.raises(GraphUnavailable):
        cared.happens(LifecycleEvent.MISSED)


def test_a_malformed_event_is_logged_and_poisoned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cared = Cared(monkeypatch)
    with pytest.raises(NotANotification):
        FUNCTIONS["subscription_event"](queue_message("leaked"), cared.out)
    assert "queue.malformed" in caplog.text
    assert "leaked" not in caplog.text


class FakeWatch:
    """Keeps the events of Defender, and counts the looks."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.events: list[str] = []
        self.looks = 0
        self._trouble = trouble

    def take_event(self, text: str) -> None:
        self.events.append(text)
        if self._trouble:
            raise self._trouble

    def look(self) -> None:
        self.looks += 1


def test_a_result_of_a_malware_scan_reaches_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = FakeWatch()
    monkeypatch.setattr(scans, "watch", lambda: watch)
    FUNCTIONS["scan_result"](queue_message('{"eventType": "…"}'))
    FUNCTIONS["scan"](FakeTimer(past_due=True))
    assert (watch.events, watch.looks) == (['{"eventType": "…"}'], 1)


class FakeOutbox:
    """Counts the runs."""

    runs = 0

    def send(self) -> None:
        self.runs += 1


def test_answers_are_sent_where_they_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = FakeOutbox()
    for due in (ours, None):
        monkeypatch.setattr(outbox, "outbox", lambda due=due: due)
        FUNCTIONS["answer"](FakeTimer(past_due=True))
    assert ours.runs == 1


def test_a_malformed_result_is_reported_and_poisoned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scans, "watch", lambda: FakeWatch(NotAResult("the queue message is not JSON")))
    with pytest.raises(NotAResult):
        FUNCTIONS["scan_result"](queue_message("leaked"))
    assert "queue.malformed" in caplog.text
    assert "leaked" not in caplog.text


def test_the_worker_gets_the_bindings_that_the_host_expects() -> None:
    assert list(FUNCTIONS) == [
        "notifications",
        "lifecycle",
        "ingest_message",
        "ingest_message_poison",
        "ingest_backlog",
        "ingest_backlog_poison",
        "subscription_event",
        "maintain",
        "examine",
        "scan_result",
        "scan",
        "answer",
    ]
    assert isinstance(queue_message("x"), func.QueueMessage)
