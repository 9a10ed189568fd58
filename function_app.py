"""The triggers: bind, call, translate. Nothing else.

`func.Out[typing.List[str]]` is the one spelling of a list output that the Python worker accepts.
"""

import logging
import os
import sys
import typing

import azure.functions as func

from ingest import log, wiring
from ingest.errors import Later, MalformedRef, SettingsError
from ingest.model.message_ref import MessageRef
from ingest.queues import BACKLOG, EVENTS, MESSAGES, SCAN_RESULTS
from ingest.telemetry import process as telemetry
from subscriptions import notifications
from subscriptions.notifications import Dropped, Expected, NotANotification, SubscriptionEvent

# A thread gives the interpreter up for each call to the network, and waits for so long until a busy one lets go. A mail
# makes dozens of such calls: by Python's own 5 ms, a mail beside a costly one would take half a second.
sys.setswitchinterval(0.001)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
logging.getLogger("ingest").setLevel(logging.INFO)
telemetry.start(os.environ)

STORAGE = "AzureWebJobsStorage"


@app.function_name("notifications")
@app.route(route="graph/notifications", methods=["POST"])
@app.queue_output(arg_name="refs", queue_name=MESSAGES, connection=STORAGE)
def receive_notifications(req: func.HttpRequest, refs: func.Out[typing.List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Accept notifications of new mail, or answer Graph's handshake. 202: every named message is on the queue."""
    return _receive(req, refs, notifications.message_refs)


@app.function_name("lifecycle")
@app.route(route="graph/lifecycle", methods=["POST"])
@app.queue_output(arg_name="events", queue_name=EVENTS, connection=STORAGE)
def receive_lifecycle(req: func.HttpRequest, events: func.Out[typing.List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Accept lifecycle events of a subscription, or answer Graph's handshake. 202: every event is on the queue."""
    return _receive(req, events, notifications.subscription_events)


@app.function_name("ingest_message")
@app.queue_trigger(arg_name="msg", queue_name=MESSAGES, connection=STORAGE)
def ingest_message(msg: func.QueueMessage) -> None:
    """Bring one message to where it belongs. An exception makes the queue try again."""
    ref = _ref(msg, MESSAGES)
    app = wiring.app()
    with telemetry.mail("ingest_message", ref), app.gate.going_first():
        app.pipeline.ingest_message(ref)


@app.function_name("ingest_message_poison")
@app.queue_trigger(arg_name="msg", queue_name=f"{MESSAGES}-poison", connection=STORAGE)
@app.queue_output(arg_name="again", queue_name=MESSAGES, connection=STORAGE)
def ingest_message_poison(msg: func.QueueMessage, again: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    """Note that the queue has given up. The mail is in the inbox, and the sweep brings it back."""
    _note_poisoned(msg, MESSAGES, again)


@app.function_name("ingest_backlog")
@app.queue_trigger(arg_name="msg", queue_name=BACKLOG, connection=STORAGE)
def ingest_backlog(msg: func.QueueMessage) -> None:
    """Do the same for a message that the sweep has found, and let new mail go first at its mailbox."""
    ref = _ref(msg, BACKLOG)
    app = wiring.app()
    with telemetry.mail("ingest_message", ref), app.gate.yielding():
        app.pipeline.ingest_message(ref)


@app.function_name("ingest_backlog_poison")
@app.queue_trigger(arg_name="msg", queue_name=f"{BACKLOG}-poison", connection=STORAGE)
@app.queue_output(arg_name="again", queue_name=BACKLOG, connection=STORAGE)
def ingest_backlog_poison(msg: func.QueueMessage, again: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    """Note that the queue has given up, as for new mail."""
    _note_poisoned(msg, BACKLOG, again)


@app.function_name("subscription_event")
@app.queue_trigger(arg_name="msg", queue_name=EVENTS, connection=STORAGE)
@app.queue_output(arg_name="refs", queue_name=BACKLOG, connection=STORAGE)
def subscription_event(msg: func.QueueMessage, refs: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    """Answer a lifecycle event: repair the subscription, and enqueue the messages that were missed."""
    from subscriptions.maintenance import maintenance  # noqa: PLC0415 - heavy, and not needed by a handshake

    try:
        event = SubscriptionEvent.from_json(msg.get_body().decode("utf-8", "replace"))
    except NotANotification as malformed:
        log.error("queue.malformed", queue=EVENTS, cause=log.describe(malformed))
        raise
    began = telemetry.now()
    _enqueue(refs, maintenance().answer(event), began)


@app.function_name("maintain")
@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", run_on_startup=False, use_monitor=True)
@app.queue_output(arg_name="refs", queue_name=BACKLOG, connection=STORAGE)
def maintain(timer: func.TimerRequest, refs: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    """Renew every mailbox's subscription, and enqueue what is left in its inbox.

    Never raises for a mailbox's trouble: Functions writes no output of a function that raised.
    """
    from subscriptions.maintenance import maintenance  # noqa: PLC0415 - heavy, and not needed by a handshake

    if timer.past_due:
        log.warning("maintain.past_due")
    began = telemetry.now()
    _enqueue(refs, maintenance().maintain(), began)
    if telemetry.is_on():
        from subscriptions.report import report  # noqa: PLC0415 - likewise

        report()


@app.function_name("examine")
@app.timer_trigger(arg_name="timer", schedule="0 17 4 * * *", run_on_startup=False, use_monitor=True)
def examine(timer: func.TimerRequest) -> None:
    """Look each day at everything that the app needs, so that an alert comes before a mail is late."""
    from checks.daily import report  # noqa: PLC0415 - heavy, and not needed by a handshake

    if timer.past_due:
        log.info("examine.past_due")
    report()


@app.function_name("scan_result")
@app.queue_trigger(arg_name="msg", queue_name=SCAN_RESULTS, connection=STORAGE)
def scan_result(msg: func.QueueMessage) -> None:
    """Record what Defender for Storage says of a blob."""
    from scanning.results import NotAResult  # noqa: PLC0415 - heavy, and not needed by a handshake
    from scanning.scans import watch  # noqa: PLC0415 - likewise

    try:
        watch().take_event(msg.get_body().decode("utf-8", "replace"))
    except NotAResult as malformed:
        log.error("queue.malformed", queue=SCAN_RESULTS, cause=log.describe(malformed))
        raise


@app.function_name("scan")
@app.timer_trigger(arg_name="timer", schedule="30 * * * * *", run_on_startup=False, use_monitor=True)
def scan(timer: func.TimerRequest) -> None:
    """Ask for the verdict on documents that wait for one. No mail waits for this function."""
    from scanning.scans import watch  # noqa: PLC0415 - heavy, and not needed by a handshake

    if timer.past_due:
        log.info("scan.past_due")
    watch().look()


@app.function_name("answer")
@app.timer_trigger(arg_name="timer", schedule="15 * * * * *", run_on_startup=False, use_monitor=True)
def answer(timer: func.TimerRequest) -> None:
    """Send the answers to senders that are due. No mail waits for this function."""
    from answers.outbox import outbox  # noqa: PLC0415 - heavy, and not needed by a handshake

    if timer.past_due:
        log.info("answer.past_due")
    if (due := outbox()) is not None:
        due.send()


type _Parse = typing.Callable[[bytes, Expected], notifications.Accepted[typing.Any]]


def _receive(req: func.HttpRequest, out: func.Out[typing.List[str]], parse: _Parse) -> func.HttpResponse:  # noqa: UP006
    began = telemetry.now()
    token = req.params.get("validationToken")
    if token is not None:
        return _handshake(token)
    try:
        settings = wiring.settings()
    except SettingsError:
        return func.HttpResponse("The app is not configured.", status_code=500)
    expected = Expected(
        client_states=settings.client_states,
        mailboxes=settings.mailboxes,
        url_mailbox=req.params.get("mailbox"),
    )
    try:
        accepted = parse(req.get_body(), expected)
    except NotANotification as malformed:
        log.warning("webhook.refused", cause=log.describe(malformed))
        return func.HttpResponse(str(malformed), status_code=400)
    _log_dropped(accepted.dropped)
    if accepted.items:
        out.set([_announced(item, "notification", began).to_json() for item in accepted.items])
    return func.HttpResponse(status_code=202)


def _handshake(token: str) -> func.HttpResponse:
    """Return the token as plain text, which Graph asks for and no browser runs."""
    if len(token) > notifications.MAX_VALIDATION_TOKEN:
        return func.HttpResponse("The validationToken is too long.", status_code=400)
    return func.HttpResponse(
        token, status_code=200, mimetype="text/plain", headers={"X-Content-Type-Options": "nosniff"}
    )


def _log_dropped(dropped: Dropped) -> None:
    if dropped.total:
        log.warning(
            "webhook.dropped",
            client_state=dropped.client_state,
            mailbox=dropped.mailbox,
            malformed=dropped.malformed,
        )


def _note_poisoned(msg: func.QueueMessage, queue: str, again: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    try:
        ref = _ref(msg, queue)
    except MalformedRef:
        return  # logged by _ref; there is no message to bring back
    try:
        wiring.app().backlog.note_poisoned(ref)
    except Later as trouble:
        # No queue stands behind the poison queue: after five attempts the message would lie there for days.
        again.set([ref.to_json()])
        log.warning("message.put_back", mailbox=ref.mailbox, message=ref.message_id, cause=log.describe(trouble))
        return
    log.warning("message.poisoned", mailbox=ref.mailbox, message=ref.message_id)


def _ref(msg: func.QueueMessage, queue: str) -> MessageRef:
    try:
        return MessageRef.from_json(msg.get_body().decode("utf-8", "replace"))
    except MalformedRef as malformed:
        log.error("queue.malformed", queue=queue, queue_message=msg.id, cause=log.describe(malformed))
        raise


def _enqueue(out: func.Out[typing.List[str]], found: typing.Sequence[MessageRef], began: int) -> None:  # noqa: UP006
    if found:
        out.set([_announced(ref, "sweep", began).to_json() for ref in found])


def _announced(item: MessageRef | SubscriptionEvent, name: str, began: int) -> MessageRef | SubscriptionEvent:
    """Return a message's reference with the trace that begins here; anything else as it is."""
    return telemetry.announced(item, name, began) if isinstance(item, MessageRef) else item
