"""Posts of Graph: the proof of their origin, and the messages that follow from them."""

import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.model.message_ref import MessageRef, Trigger, is_id
from subscriptions import notifications
from subscriptions.notifications import (
    MAX_BODY,
    Dropped,
    Expected,
    LifecycleEvent,
    NotANotification,
    SubscriptionEvent,
    message_refs,
    subscription_events,
)
from tests.fakes.payloads import payload
from tests.fakes.values import CLIENT_STATE, MAILBOX, OLD_CLIENT_STATE, OTHER_MAILBOX, ref

STATES = (CLIENT_STATE, OLD_CLIENT_STATE)
EXPECTED = Expected(client_states=STATES, mailboxes=(MAILBOX,))
PARSERS: list[Callable[[bytes, Expected], Any]] = [message_refs, subscription_events]


def expected(*mailboxes: str, url_mailbox: str | None = None) -> Expected:
    return Expected(client_states=STATES, mailboxes=mailboxes, url_mailbox=url_mailbox)


def accepted(name: str, expecting: Expected = EXPECTED) -> tuple[MessageRef, ...]:
    return message_refs(payload(f"notifications/{name}"), expecting).items


def dropped(name: str, expecting: Expected = EXPECTED) -> Dropped:
    return message_refs(payload(f"notifications/{name}"), expecting).dropped


def body(*items: object) -> bytes:
    return json.dumps({"value": items}).encode()


# Change notifications


def test_a_notification_names_a_message() -> None:
    assert accepted("one") == (ref("AAkALg1"),)
    assert dropped("one") == Dropped()


def test_every_item_is_judged_by_itself() -> None:
    assert accepted("several_mixed") == (ref("A1"), ref("A5"))
    assert dropped("several_mixed") == Dropped(client_state=2, mailbox=1, malformed=1)


def test_a_message_named_twice_in_a_post_is_enqueued_once() -> None:
    assert accepted("doubled") == (ref("A1"), ref("A2"))


def test_unknown_fields_are_harmless() -> None:
    assert accepted("unknown_fields") == (ref("A1"),)


@pytest.mark.parametrize("name", ["resource_with_keys_in_brackets", "without_resource_data", "without_resource"])
def test_a_message_may_be_named_in_either_place(name: str) -> None:
    assert accepted(name) == (ref("A1"),)


def test_a_post_of_nothing_is_one() -> None:
    assert accepted("nothing") == ()
    assert dropped("nothing").total == 0


def test_an_item_that_names_no_message_is_dropped() -> None:
    assert accepted("names_no_message") == ()
    assert dropped("names_no_message") == Dropped(malformed=4)


def test_an_id_that_neither_graph_gives_nor_postgres_takes_is_dropped() -> None:
    assert accepted("message_ids_that_no_graph_gives") == ()
    assert dropped("message_ids_that_no_graph_gives") == Dropped(malformed=4)


def test_a_surrogate_without_its_half_is_dropped() -> None:
    post = payload("notifications/one").replace(b"AAkALg1", rb"\ud83d")
    assert message_refs(post, EXPECTED).dropped == Dropped(malformed=1)


def test_items_of_any_type_are_dropped_and_counted() -> None:
    assert accepted("hostile_types") == ()
    assert dropped("hostile_types") == Dropped(client_state=4, malformed=7)


def test_a_long_resource_costs_no_time() -> None:
    # A newline at the end is what the pattern does not match, after as many beginnings as fit.
    hostile = {"clientState": CLIENT_STATE, "resource": "users/a/mailFolders" + "/messages/" * 90_000 + "\n"}
    assert message_refs(body(hostile), EXPECTED).dropped == Dropped(malformed=1)


# Mailboxes


def test_the_mailbox_is_named_by_the_resource_in_any_case_of_letters() -> None:
    post = payload("notifications/one").replace(b"upload@", b"UPLOAD@")
    assert message_refs(post, expected(OTHER_MAILBOX, MAILBOX)).items == (ref(),)


def test_the_url_says_the_mailbox_where_graph_names_the_user_by_its_object_id() -> None:
    by_url = expected(MAILBOX, OTHER_MAILBOX, url_mailbox=OTHER_MAILBOX.upper())
    assert accepted("user_by_object_id", by_url) == (ref("A1", OTHER_MAILBOX),)


def test_the_only_mailbox_is_meant_where_nothing_names_one() -> None:
    assert accepted("user_by_object_id") == (ref("A1"),)


@pytest.mark.parametrize("url_mailbox", [None, "stranger@dms.example", ""])
def test_an_unknown_mailbox_is_dropped(url_mailbox: str | None) -> None:
    unknown = expected(MAILBOX, OTHER_MAILBOX, url_mailbox=url_mailbox)
    assert dropped("user_by_object_id", unknown) == Dropped(mailbox=1)


# Proof of origin


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "state",
    [None, "", "guessed", CLIENT_STATE.upper(), CLIENT_STATE[:-1], CLIENT_STATE + "x", 0, True, [], {}, "\ud800", "ü"],
)
def test_an_item_without_a_known_secret_is_dropped(parse: Callable[[bytes, Expected], Any], state: object) -> None:
    post = body({"clientState": state, "subscriptionId": "1", "resourceData": {"id": "A1"}})
    assert parse(post, EXPECTED).items == ()
    assert parse(post, EXPECTED).dropped == Dropped(client_state=1)


@pytest.mark.parametrize("state", STATES)
def test_during_a_rotation_every_secret_counts(state: str) -> None:
    assert message_refs(body({"clientState": state, "resourceData": {"id": "A1"}}), EXPECTED).items == (ref("A1"),)


def test_no_secret_accepts_nothing() -> None:
    nothing_expected = Expected(client_states=(), mailboxes=(MAILBOX,))
    assert message_refs(body({"clientState": "", "resourceData": {"id": "A1"}}), nothing_expected).items == ()


def test_secrets_are_compared_in_constant_time_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def recording(given: bytes, secret: bytes) -> bool:
        compared.append(secret)
        return hmac.compare_digest(given, secret)

    class Hmac:
        compare_digest = staticmethod(recording)

    monkeypatch.setattr(notifications, "hmac", Hmac)
    message_refs(body({"clientState": CLIENT_STATE}, {"clientState": "guessed"}, {"clientState": None}), EXPECTED)
    assert compared == [state.encode() for state in STATES] * 3


# Lifecycle


def test_each_lifecycle_event_is_read() -> None:
    found = subscription_events(payload("lifecycle/all_events"), EXPECTED).items
    assert [item.event for item in found] == [
        LifecycleEvent.REAUTHORIZATION_REQUIRED,
        LifecycleEvent.SUBSCRIPTION_REMOVED,
        LifecycleEvent.MISSED,
    ]
    assert {(item.mailbox, item.subscription_id) for item in found} == {(MAILBOX, "7f105c7d")}


def test_an_event_that_graph_adds_later_is_kept_as_unknown() -> None:
    found = subscription_events(payload("lifecycle/event_of_the_future"), EXPECTED).items
    assert [item.event for item in found] == [LifecycleEvent.UNKNOWN]


def test_lifecycle_items_are_judged_one_by_one() -> None:
    found = subscription_events(payload("lifecycle/several_mixed"), EXPECTED)
    assert len(found.items) == 1
    assert found.dropped == Dropped(client_state=1, malformed=2)


def test_a_lifecycle_event_belongs_to_the_mailbox_of_its_url() -> None:
    found = subscription_events(
        payload("lifecycle/all_events"), expected(MAILBOX, OTHER_MAILBOX, url_mailbox=OTHER_MAILBOX)
    )
    assert {item.mailbox for item in found.items} == {OTHER_MAILBOX}
    nobodys = subscription_events(payload("lifecycle/all_events"), expected(MAILBOX, OTHER_MAILBOX))
    assert nobodys.dropped == Dropped(mailbox=3)


# Shapes


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    ("post", "what"),
    [
        (b"", "not JSON"),
        (b"<xml/>", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"value":[', "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[" * 20_000, "not JSON"),
        (b'{"value":' * 20_000 + b"1" + b"}" * 20_000, "not JSON"),
        (b"[" * 200_000, "more than"),
        (b'{"value":' * 100_000 + b"1" + b"}" * 100_000, "more than"),
        (b"null", "no list named 'value'"),
        (b"[]", "no list named 'value'"),
        (b'"value"', "no list named 'value'"),
        (b"{}", "no list named 'value'"),
        (b'{"value":{}}', "no list named 'value'"),
        (b'{"value":"[]"}', "no list named 'value'"),
        (b" " * (MAX_BODY + 1), "more than"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_notification_is_refused_without_being_quoted(
    parse: Callable[[bytes, Expected], Any], post: bytes, what: str
) -> None:
    with pytest.raises(NotANotification, match=what) as refused:
        parse(post, EXPECTED)
    assert "xml" not in str(refused.value)


def test_a_body_of_the_largest_size_is_read() -> None:
    post = payload("notifications/one").ljust(MAX_BODY)
    assert message_refs(post, EXPECTED).items == (ref(),)


# Through the queue


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200).filter(is_id),
    st.sampled_from(Trigger),
)
def test_a_ref_survives_the_queue(message_id: str, trigger: Trigger) -> None:
    sent = ref(message_id, trigger=trigger)
    assert MessageRef.from_json(sent.to_json()) == sent


@given(st.text(max_size=200), st.sampled_from(LifecycleEvent))
def test_a_subscription_event_survives_the_queue(subscription_id: str, event: LifecycleEvent) -> None:
    sent = SubscriptionEvent(mailbox=MAILBOX, subscription_id=subscription_id, event=event)
    assert SubscriptionEvent.from_json(sent.to_json()) == sent


@pytest.mark.parametrize("text", ["", "[]", "null", '"x"', "{}", '{"mailbox":"x"}', "[" * 200_000, '{"mailbox":'])
def test_a_malformed_subscription_event_is_refused(text: str) -> None:
    with pytest.raises(NotANotification):
        SubscriptionEvent.from_json(text)
