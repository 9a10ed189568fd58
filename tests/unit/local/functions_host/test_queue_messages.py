"""Outputs become messages, and messages become the arguments of functions."""

import base64
import json
from datetime import UTC, datetime, timedelta

import azure.functions
import pytest
from azure.functions.queue import QueueMessageInConverter
from azure_functions_runtime.bindings.datumdef import Datum  # type: ignore[import-untyped]  # ships no types

from local.functions_host.invocation import queue_messages
from local.functions_host.protos import TypedData
from local.functions_host.queue_trigger import trigger_metadata
from local.functions_host.storage import Message, decode, encode
from local.functions_host.waiting import Backoff

MOMENT = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (None, []),
        (TypedData(string="plain"), ["plain"]),
        (TypedData(string='{"a": 1}'), ['{"a": 1}']),
        (TypedData(string='["a", {"b": 1}, 2]'), ["a", '{"b": 1}', "2"]),
        (TypedData(json='["[1]", "b"]'), ["[1]", "b"]),
        (TypedData(json="[]"), []),
        (TypedData(bytes=b"\x00"), [b"\x00"]),
    ],
)
def test_an_output_becomes_one_message_for_each_item(data: TypedData | None, messages: list[str | bytes]) -> None:
    assert queue_messages(data) == messages


def test_encoding_is_undone_by_decoding() -> None:
    assert encode("ü", "base64") == base64.b64encode("ü".encode()).decode()
    assert decode(encode("ü", "base64"), "base64") == "ü"
    assert decode(encode("ü", "none"), "none") == "ü"


@pytest.mark.parametrize("text", ["no base64!", "AA", base64.b64encode(b"\xff").decode()])
def test_what_was_not_encoded_is_not_decoded(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(text, "base64")


def received(text: str) -> azure.functions.QueueMessage:
    """Return a message as the SDK reads it."""
    message = Message(
        id="1",
        text=encode(text, "base64"),
        pop_receipt="receipt",
        dequeue_count=3,
        inserted_on=MOMENT,
        expires_on=MOMENT + timedelta(days=7),
        next_visible_on=MOMENT + timedelta(minutes=10),
    )
    metadata = {name: Datum.from_typed_data(value) for name, value in trigger_metadata(message, text).items()}
    decoded = QueueMessageInConverter.decode(Datum(text, "string"), trigger_metadata=metadata)
    assert isinstance(decoded, azure.functions.QueueMessage)
    return decoded


def test_a_function_gets_the_message_with_its_properties() -> None:
    message = received("text")
    assert message.get_body() == b"text"
    assert message.id == "1"
    assert message.pop_receipt == "receipt"
    assert message.dequeue_count == 3
    assert message.insertion_time == MOMENT
    assert message.expiration_time == MOMENT + timedelta(days=7)
    assert message.time_next_visible == MOMENT + timedelta(minutes=10)


def test_keys_of_a_json_body_shadow_the_properties_as_on_the_real_host() -> None:
    assert received(json.dumps({"Id": "mine", "DequeueCount": 9, "other": None})).id == "mine"
    assert received(json.dumps({"Id": "mine", "DequeueCount": 9})).dequeue_count == 9


def test_the_distance_between_polls_grows_to_its_maximum_and_begins_again() -> None:
    backoff = Backoff(timedelta(seconds=2))
    delays = [backoff.next() for _ in range(20)]
    assert delays[0] == timedelta(milliseconds=100)
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(seconds=2)
    backoff.reset()
    assert backoff.next() == timedelta(milliseconds=100)
