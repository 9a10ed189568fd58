"""Answers to senders, end to end: from a mail to the answer in the world's sink. Never two, never to a robot."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, override

import psycopg
import pytest

from answers.letter import Letter
from answers.outbox import Outbox
from answers.texts import Templates
from answers.transports import AcsTransport, GraphTransport
from ingest import trace, wiring
from ingest.codes import AnswerKind
from ingest.errors import AnswerRefused, InDoubt, Later
from ingest.model.message_ref import MessageRef
from ingest.settings import Settings
from ingest.storage.answers import Answers
from local.graph.admin.client import MessageState, SentState
from local.stack import Stack
from local.tenants import LocalTenant
from operations.audit import Account
from operations.tenants.answers import AnswerRules

pytestmark = pytest.mark.shares("stack")

PROVED = "spf=pass smtp.mailfrom=supplier.example; dmarc=pass action=none header.from=supplier.example"
FORGED = "spf=fail smtp.mailfrom=supplier.example; dmarc=fail action=none header.from=supplier.example"
REASON = Account(why="a test", remark="test")


@pytest.fixture
def app(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.App]:
    """The app in this process, beside the host, at the same services, with answers on."""
    environment = stack.operator_environment() | {"INGEST_ANSWERS": "graph", "INGEST_ANSWERS_A_DAY": "2"}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", environment["REQUESTS_CA_BUNDLE"])
    app = wiring.build(Settings.from_env(environment))
    try:
        yield app
    finally:
        app.close()


@pytest.fixture
def outbox(app: wiring.App) -> Outbox:
    return Outbox(
        records=Answers(app.database),
        transport=GraphTransport(app.graph),
        templates=Templates(),
        sender=app.settings.answer_from,
        a_day=app.settings.answers_a_day,
    )


@pytest.fixture
def tenant(stack: Stack, request: pytest.FixtureRequest) -> Iterator[LocalTenant]:
    """A tenant that wants every answer of its own."""
    tenant = stack.add_tenant(f"Answers, {request.node.name}")
    rules = AnswerRules(stack.postgres.owner_url)
    for kind in AnswerKind:
        of = None if kind in {AnswerKind.NO_SUCH_ADDRESS, AnswerKind.TENANT_INACTIVE} else int(tenant.id)
        rules.set(of, kind, REASON, wanted=True)
    yield tenant
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute("delete from ingest.answer where state = 'queued'")
    for kind in (AnswerKind.NO_SUCH_ADDRESS, AnswerKind.TENANT_INACTIVE):
        rules.set(None, kind, REASON, wanted=False)


def mail(to: str, sender: str, *files: tuple[str, bytes], results: str = PROVED, **headers: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["Authentication-Results"] = results
    message["From"] = sender
    message["To"] = to
    message["Subject"] = "Rechnung 4711"
    message["Message-ID"] = f"<{os.urandom(8).hex()}@supplier.example>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Attached.")
    for name, content in files:
        message.add_attachment(content, "application", "octet-stream", filename=name)
    return message


def ingest(stack: Stack, app: wiring.App, message: EmailMessage) -> MessageState:
    """Bring a mail in by this process: its notification is lost, and the sweep skips it."""
    dropped = stack.admin.notification_counters().get("dropped", 0)
    stack.admin.set_notification_faults(drop_next=1)
    [state] = stack.admin.deliver(message.as_bytes(), list(stack.identity.mailboxes[:1]))
    stack.admin.mark_read(state.id)
    stack.admin.wait_for(lambda: stack.admin.notification_counters().get("dropped", 0) > dropped)
    app.pipeline.ingest_message(MessageRef(mailbox=state.mailbox, message_id=state.id))
    return state


def sent_to(stack: Stack, address: str) -> list[SentState]:
    return [mail for mail in stack.admin.sent() if mail.recipients == (address,)]


def parsed(mail: SentState) -> EmailMessage:
    return BytesParser(policy=policy.default).parsebytes(mail.mime)


def text(mail: SentState) -> str:
    part = parsed(mail).get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def states(stack: Stack, message: MessageState) -> list[tuple[str, str, str | None]]:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        return owner.execute(
            "select answer.kind, answer.state, answer.recipient from ingest.answer join ingest.claim on id = claim_id"
            " where message_id = %s",
            [message.id],
        ).fetchall()


PDF = ("rechnung.pdf", b"%PDF-1.7\n" + bytes(100))


def test_a_proved_sender_hears_once_what_was_taken(
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant
) -> None:
    message = mail(tenant.address, "anna@supplier.example", PDF, Accept_Language="de-DE")
    state = ingest(stack, app, message)
    assert states(stack, state) == [("received", "queued", "anna@supplier.example")]
    assert outbox.send() == 1
    assert outbox.send() == 0
    [sent] = sent_to(stack, "anna@supplier.example")
    answer = parsed(sent)
    assert sent.return_path == ""
    assert (answer["auto-submitted"], answer["in-reply-to"]) == ("auto-replied", message["Message-ID"])
    assert "- rechnung.pdf" in text(sent)
    assert states(stack, state) == [("received", "sent", None)], "nothing of the mail is kept"


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("dangerous_type", ("x.exe", b"MZ" + bytes(100))),
        ("nothing_usable", ("empty.pdf", b"")),
    ],
)
def test_a_mail_says_why_not_everything_was_taken(  # noqa: PLR0917 - fixtures
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant, kind: str, file: tuple[str, bytes]
) -> None:
    sender = f"{kind}@supplier.example"
    state = ingest(stack, app, mail(tenant.address, sender, file))
    assert outbox.send() == 1
    assert states(stack, state) == [(kind, "sent", None)]
    assert len(sent_to(stack, sender)) == 1


def test_a_misspelt_address_is_answered_after_the_quarantine(
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant
) -> None:
    wrong = tenant.address.replace(tenant.token, "f" * 32)
    state = ingest(stack, app, mail(wrong, "bert@supplier.example"))
    assert outbox.send() == 1
    [sent] = sent_to(stack, "bert@supplier.example")
    assert "we have no such address" in text(sent)
    assert states(stack, state) == [("no_such_address", "sent", None)]


def test_a_forged_sender_is_never_answered(stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant) -> None:
    states_of = []
    for results in (FORGED, "spf=pass smtp.mailfrom=evil.example; dmarc=pass header.from=evil.example"):
        state = ingest(stack, app, mail(tenant.address, "victim@supplier.example", PDF, results=results))
        states_of += states(stack, state)
    assert outbox.send() == 0
    assert (states_of, sent_to(stack, "victim@supplier.example")) == ([], [])


def test_a_held_mail_is_answered_as_such(stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant) -> None:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute(
            "insert into ingest.sender_list (tenant_id, purpose, mode, set_by) values (%s, '', 'hold', 'test')",
            [tenant.id],
        )
    state = ingest(stack, app, mail(tenant.address, "unlisted@supplier.example", PDF))
    assert outbox.send() == 1
    assert states(stack, state) == [("awaits_approval", "sent", None)]


def test_a_tenant_that_wants_no_answer_sends_none(stack: Stack, app: wiring.App, outbox: Outbox) -> None:
    quiet = stack.add_tenant("Answers, quiet")
    state = ingest(stack, app, mail(quiet.address, "carl@supplier.example", PDF))
    assert (states(stack, state), outbox.send()) == ([], 0)


def test_a_sender_gets_so_many_answers_a_day(
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant
) -> None:
    found = [ingest(stack, app, mail(tenant.address, "Dora@supplier.example", PDF)) for _ in range(3)]
    assert outbox.send() == 2
    assert sorted(state for one in found for _, state, _ in states(stack, one)) == ["sent", "sent", "suppressed"]


def test_two_robots_end_after_one_answer(stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant) -> None:
    """A robot that marks nothing as automatic, answers below our answer, and one that drops every trace of it."""
    robot = "robot@supplier.example"
    ingest(stack, app, mail(tenant.address, robot, PDF))
    assert outbox.send() == 1
    [sent] = sent_to(stack, robot)
    answer = parsed(sent)
    below = mail(tenant.address, robot, PDF, In_Reply_To=answer["message-id"])
    traceless = mail(answer["from"], robot)
    found = [ingest(stack, app, one) for one in (below, traceless)]
    assert (outbox.send(), [states(stack, one) for one in found]) == (0, [[], []])
    assert len(sent_to(stack, robot)) == 1


def test_with_answers_a_mail_takes_as_many_calls_as_without(stack: Stack, app: wiring.App, tenant: LocalTenant) -> None:
    ingest(stack, app, mail(tenant.address, "erna@supplier.example", PDF))
    called: list[str] = []
    end = trace.subscribe(lambda name, phase: called.append(name) if phase == "before" else None)
    try:
        ingest(stack, app, mail(tenant.address, "erna@supplier.example", PDF))
    finally:
        end()
    assert [name for name in called if name.startswith("sql.") and "gate" not in name] == [
        "sql.claim",
        "sql.resolve_tokens",
        "sql.save",
        "sql.end",
    ]


def test_a_process_that_dies_before_the_mark_sends_no_second_answer(
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant
) -> None:
    state = ingest(stack, app, mail(tenant.address, "fred@supplier.example", PDF))
    taken = Answers(app.database).take(10, a_day=2)  # and then the process is gone
    assert len(taken) == 1
    assert outbox.send() == 0
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute("update ingest.answer set taken_at = now() - interval '1 hour' where state = 'sending'")
    assert outbox.send() == 0
    assert states(stack, state) == [("received", "in_doubt", None)]


def test_a_throttled_answer_comes_later_and_a_broken_one_never_again(
    stack: Stack, app: wiring.App, outbox: Outbox, tenant: LocalTenant
) -> None:
    throttled = ingest(stack, app, mail(tenant.address, "gina@supplier.example", PDF))
    stack.admin.add_fault(429, path="/sendMail", limit=1)
    assert outbox.send() == 0
    assert states(stack, throttled) == [("received", "queued", "gina@supplier.example")]
    broken = ingest(stack, app, mail(tenant.address, "hugo@supplier.example", PDF))
    stack.admin.add_fault(503, path="/sendMail", limit=1)
    assert outbox.send() == 0
    assert states(stack, broken) == [("received", "in_doubt", None)]
    with psycopg.connect(stack.postgres.owner_url) as owner:
        owner.execute("update ingest.answer set next_try_at = now() where state = 'queued'")
    assert outbox.send() == 1
    assert len(sent_to(stack, "gina@supplier.example")) == 1


def test_in_the_storm_no_sender_gets_two_and_no_forged_one_gets_any(
    stack: Stack, app: wiring.App, tenant: LocalTenant
) -> None:
    """Several processes' worth of outboxes, and a Graph that throttles, breaks off, and loses its own answers."""
    senders = [f"storm-{number}@supplier.example" for number in range(24)]
    for number, sender in enumerate(senders):
        ingest(stack, app, mail(tenant.address, sender, PDF, results=FORGED if number % 3 == 0 else PROVED))
    stack.admin.add_fault(429, 503, "lost", "reset", probability=0.5, seed=7, path="/sendMail", retry_after=0.1)

    def work() -> None:
        Outbox(
            records=Answers(app.database),
            transport=GraphTransport(app.graph),
            templates=Templates(),
            sender=app.settings.answer_from,
            a_day=2,
        ).send()

    try:
        for _ in range(4):
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with psycopg.connect(stack.postgres.owner_url) as owner:
                owner.execute("update ingest.answer set next_try_at = now() where state = 'queued'")
    finally:
        stack.admin.clear_faults()
    counts = {sender: len(sent_to(stack, sender)) for sender in senders}
    assert max(counts.values()) == 1, "never two"
    assert not any(counts[sender] for sender in senders[::3]), "never to a forged sender"
    assert sum(counts.values()) > 0


# Azure Communication Services, by a stand-in


class _Acs(BaseHTTPRequestHandler):
    status = 202
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []  # noqa: RUF012 - of one test

    @override
    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, dict(self.headers), body))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.requests.append((self.path, dict(self.headers), {}))
        self.send_response(200)
        self.end_headers()


@contextmanager
def acs(status: int) -> Iterator[tuple[AcsTransport, type[_Acs]]]:
    handler = type("Handler", (_Acs,), {"status": status, "requests": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield AcsTransport(f"http://127.0.0.1:{server.server_port}", lambda: "a-token"), handler
        finally:
            server.shutdown()
            thread.join()


def letter(app: wiring.App) -> Letter:
    letters: list[Letter] = []

    class Keeps:
        def send(self, letter: Letter) -> None:
            letters.append(letter)

    Outbox(
        records=Answers(app.database), transport=Keeps(), templates=Templates(), sender="answers@dms.example", a_day=2
    ).send()
    return letters[0]


def test_communication_services_get_the_answer_as_json(stack: Stack, app: wiring.App, tenant: LocalTenant) -> None:
    message = mail(tenant.address, "ines@supplier.example", PDF)
    ingest(stack, app, message)
    written = letter(app)
    with acs(202) as (transport, service):
        transport.send(written)
    [(path, headers, body)] = service.requests
    assert path == "/emails:send?api-version=2023-03-31"
    assert (headers["Authorization"], headers["Operation-Id"]) == ("Bearer a-token", str(written.id))
    assert (body["senderAddress"], body["recipients"]) == (
        "answers@dms.example",
        {"to": [{"address": "ines@supplier.example"}]},
    )
    assert body["headers"]["Auto-Submitted"] == "auto-replied"
    assert body["headers"]["In-Reply-To"] == message["Message-ID"]
    for status, error in ((429, Later), (401, Later), (400, AnswerRefused), (302, AnswerRefused), (500, InDoubt)):
        with acs(status) as (transport, service):
            with pytest.raises(error):
                transport.send(written)
            assert len(service.requests) == 1, "no redirect is followed with the token"
