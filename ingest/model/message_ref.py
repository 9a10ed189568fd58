"""A message's address: its mailbox and Graph's immutable id, as they travel through the queue."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeGuard

from ingest.errors import MalformedRef

# Graph message ids are URL-safe base64 of about 150 characters; nothing near this has been seen.
MAX_ID_LENGTH = 1024
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ID = re.compile(rf"[!-~]{{1,{MAX_ID_LENGTH}}}")


def is_id(value: object) -> TypeGuard[str]:
    """Return whether the value can be an id of Graph's: visible ASCII, which a queue, Postgres and a URL take too."""
    # A dot or two would be a step in a URL's path, escaped or not.
    return isinstance(value, str) and value not in {".", ".."} and _ID.fullmatch(value) is not None


class Trigger(StrEnum):
    """The cause that put a message on the queue."""

    WEBHOOK = "webhook"
    SWEEP = "sweep"
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """The moment in which a message was put on the queue, and the trace that began there.

    `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header
    """

    traceparent: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageRef:
    """A message's address, which travels through the queue `ingest-messages`.

    `message_id` is Graph's immutable id: case-sensitive, stable across folder moves within the mailbox. `announced` is
    for telemetry, and no part of the address.
    """

    mailbox: str
    message_id: str
    trigger: Trigger = Trigger.WEBHOOK
    announced: Announcement | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """Return the queue message's text. No key is named `Id`, which would shadow Functions' binding data."""
        value = {"mailbox": self.mailbox, "messageId": self.message_id, "trigger": str(self.trigger)}
        if self.announced is not None:
            value["traceparent"] = self.announced.traceparent
            value["announcedAt"] = self.announced.at.isoformat()
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MessageRef:
        """Read the text that `to_json` wrote. Raises MalformedRef, which says what is wrong and quotes nothing."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise MalformedRef("the queue message is not JSON") from None
        if not isinstance(value, dict):
            raise MalformedRef("the queue message is not a JSON object")
        mailbox, message_id = value.get("mailbox"), value.get("messageId")
        if not isinstance(mailbox, str) or not mailbox or not mailbox.isprintable():
            raise MalformedRef("the queue message has no 'mailbox'")
        if not is_id(message_id):
            raise MalformedRef(f"the queue message has no 'messageId' of 1 to {MAX_ID_LENGTH} ASCII characters")
        try:
            trigger = Trigger(value.get("trigger", Trigger.WEBHOOK))
        except ValueError:
            raise MalformedRef(f"'trigger' is none of {', '.join(Trigger)}") from None
        return cls(mailbox=mailbox, message_id=message_id, trigger=trigger, announced=_announcement(value))

    @property
    def key(self) -> str:
        """Return 32 hex digits that stand for this message in blob names, equal in every instance and attempt."""
        return hashlib.sha256(f"{self.mailbox.casefold()}\n{self.message_id}".encode()).hexdigest()[:32]


def _announcement(value: dict[str, object]) -> Announcement | None:
    """Read the context of a trace. One that makes no sense is none: telemetry stops no mail."""
    traceparent, at = value.get("traceparent"), value.get("announcedAt")
    if not isinstance(traceparent, str) or not isinstance(at, str) or not _TRACEPARENT.fullmatch(traceparent):
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return Announcement(traceparent=traceparent, at=moment) if moment.tzinfo is not None else None
