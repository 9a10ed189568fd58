"""The form of a queue message, and the names of the blobs of a message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import MalformedRef
from ingest.model.message_ref import MessageRef, Trigger
from tests.fakes.values import MAILBOX, message, ref


def queued(**fields: object) -> str:
    return json.dumps({"mailbox": MAILBOX, "messageId": "A1", "trigger": "sweep"} | fields)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no 'mailbox'"),
        (queued(mailbox=""), "no 'mailbox'"),
        (queued(mailbox=1), "no 'mailbox'"),
        (queued(mailbox="a\0@b"), "no 'mailbox'"),
        (queued(messageId=None), "no 'messageId'"),
        (queued(messageId=""), "no 'messageId'"),
        (queued(messageId="x" * 1025), "no 'messageId'"),
        (queued(messageId="."), "no 'messageId'"),
        (queued(messageId=".."), "no 'messageId'"),
        (queued(messageId="zero\0"), "no 'messageId'"),
        (queued(messageId="\ud83d"), "no 'messageId'"),
        (queued(trigger="magic"), "'trigger' is none of webhook, sweep, operator"),
        (queued(trigger=[]), "'trigger' is none of"),
    ],
    ids=lambda value: value[:40],
)
def test_a_malformed_queue_message_says_what_is_wrong(text: str, what: str) -> None:
    with pytest.raises(MalformedRef, match=what):
        MessageRef.from_json(text)


def test_a_queue_message_without_a_trigger_came_from_the_webhook() -> None:
    assert MessageRef.from_json('{"mailbox":"a@b","messageId":"A1"}').trigger is Trigger.WEBHOOK


@given(st.text())
def test_any_text_is_a_ref_or_malformed(text: str) -> None:
    try:
        MessageRef.from_json(text)
    except MalformedRef:
        return


def test_no_key_shadows_the_binding_data_of_functions() -> None:
    assert set(json.loads(ref().to_json())).isdisjoint({"Id", "PopReceipt", "DequeueCount", "id"})


def test_blobs_are_named_alike_by_every_instance_and_differently_for_every_message() -> None:
    assert ref("A1").key == ref("A1", MAILBOX.upper(), Trigger.SWEEP).key
    keys = {ref("A1").key, ref("a1").key, ref("A2").key, ref("A1", "second@dms.example").key}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)


def test_a_mails_content_is_not_in_its_repr() -> None:
    shown = repr(message(subject="Kündigung", to=("secret-token@dms.example",)))
    assert "Kündigung" not in shown
    assert "secret-token" not in shown
    assert "supplier.example" not in shown.replace("<4711@supplier.example>", "")
