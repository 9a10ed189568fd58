"""Graph's message as JSON, the kept form of an original that Exchange gives no MIME of.

https://learn.microsoft.com/graph/api/resources/message
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.codes import Rule
from ingest.documents.headers.fields import Headers, parse_headers
from ingest.documents.spool import Spool
from ingest.errors import ContentInterrupted, PartRejected

MAX_SIZE = 16 * 1024 * 1024  # bytes that are read into memory; the message's body is among them
_NAME = re.compile(r"[!-9;-~]+")  # of a field, RFC 5322, 3.6.8
# Fields that Graph shows decoded replace the headers of the same name. Graph leaves To out of the headers.
_REPLACED = frozenset({"to", "cc", "from", "subject", "message-id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphMessage:
    """A message of Graph's: its headers, and its body as Graph shows the body."""

    headers: Headers = field(repr=False)
    is_html: bool
    body: str = field(repr=False)


def read_message(spool: Spool) -> GraphMessage:
    """Read a message. Raises PartRejected(too_large), and ContentInterrupted where the content is no message."""
    if spool.size > MAX_SIZE:
        raise PartRejected(Rule.TOO_LARGE)
    try:
        message = json.loads(b"".join(spool.blocks()))
    except (ValueError, RecursionError):
        raise ContentInterrupted("Graph's message is not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):  # without an id: a gateway's answer
        raise ContentInterrupted("Graph's message is not a JSON object with an id")
    body = message.get("body")
    body = body if isinstance(body, dict) else {}
    return GraphMessage(
        headers=_headers(message),
        is_html=str(body.get("contentType")).lower() == "html",
        body=str(body.get("content") or ""),
    )


def _headers(message: Mapping[str, Any]) -> Headers:
    """Return the message's headers, its recipients and decoded fields among them."""
    lines = [
        *(("To", f"<{address}>") for address in _addresses(message.get("toRecipients"))),
        *(("Cc", f"<{address}>") for address in _addresses(message.get("ccRecipients"))),
        *(("From", f"<{address}>") for address in _addresses([message.get("from")])),
        ("Subject", str(message.get("subject") or "")),
        ("Message-ID", str(message.get("internetMessageId") or "")),
        *(
            (name, str(header.get("value") or ""))
            for header in _objects(message.get("internetMessageHeaders"))
            if _NAME.fullmatch(name := str(header.get("name")).strip()) and name.lower() not in _REPLACED
        ),
    ]
    # A value is one line: a line break in it would begin a field of its own.
    text = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in lines if value)
    return parse_headers(text.encode("utf-8", "replace") + b"\r\n")


def _addresses(recipients: object) -> Iterator[str]:
    for recipient in _objects(recipients):
        address = recipient.get("emailAddress")
        if isinstance(address, dict) and address.get("address"):
            yield str(address["address"])


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
