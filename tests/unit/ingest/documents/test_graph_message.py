"""A mail without MIME is routed by Graph's message as JSON, with missing and hostile values."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.documents.graph_message import MAX_SIZE, GraphMessage, read_message
from ingest.documents.spool import Spool
from ingest.errors import ContentInterrupted, PartRejected


def read(value: dict[str, object]) -> GraphMessage:
    with Spool() as spool:
        spool.fill([json.dumps({"id": "AAkALg1"} | value).encode()])
        return read_message(spool)


def recipient(address: object) -> dict[str, object]:
    return {"emailAddress": {"name": "upload.evil@dms.example", "address": address}}


def test_recipients_and_headers_become_one_header_block() -> None:
    message = read(
        {
            "subject": "Rechnung ä",
            "internetMessageId": "<1@supplier.example>",
            "from": recipient("billing@supplier.example"),
            "toRecipients": [recipient("first@dms.example"), {"emailAddress": {"name": "no address"}}],
            "ccRecipients": [recipient("copy@dms.example")],
            "internetMessageHeaders": [
                {"name": "Subject", "value": "=?utf-8?Q?other?="},
                {"name": "X-Forwarded-To", "value": "forwarded@dms.example"},
            ],
            "body": {"contentType": "html", "content": "<p>"},
        }
    )
    assert message.headers.addresses("To") == ("first@dms.example",)
    assert message.headers.addresses("Cc") == ("copy@dms.example",)
    assert message.headers.addresses("From") == ("billing@supplier.example",)
    assert message.headers.get_all("Subject") == ("Rechnung ä",)
    assert message.headers.get("X-Forwarded-To") == "forwarded@dms.example"
    assert (message.is_html, message.body) == (True, "<p>")


def test_a_line_break_in_a_value_begins_no_header() -> None:
    message = read({"subject": "x\r\nTo: upload.evil@dms.example"})
    assert message.headers.addresses("To") == ()


@pytest.mark.parametrize("name", ["X\r\nTo", "To ", "\nTo", "", ": To", "X To"])
def test_no_name_of_a_header_begins_another_one(name: str) -> None:
    message = read({"internetMessageHeaders": [{"name": name, "value": "upload.evil@dms.example"}]})
    assert message.headers.addresses("To") == ()


@given(
    st.dictionaries(
        st.sampled_from(
            ["subject", "from", "toRecipients", "ccRecipients", "internetMessageHeaders", "body", "attachments"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["emailAddress", "address", "name", "value"]), inner)
            ),
            max_leaves=10,
        ),
    )
)
def test_nothing_in_the_json_breaks_the_reader(value: dict[str, object]) -> None:
    read(value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"error": {"code": "x"}}', b"[" * 100_000])
def test_what_is_no_message_is_a_broken_answer(content: bytes) -> None:
    with Spool() as spool:
        spool.fill([content])
        with pytest.raises(ContentInterrupted):
            read_message(spool)


def test_a_message_that_does_not_fit_into_memory_is_refused() -> None:
    with Spool() as spool:
        spool.fill([bytes(MAX_SIZE), b"1"])
        with pytest.raises(PartRejected):
            read_message(spool)
