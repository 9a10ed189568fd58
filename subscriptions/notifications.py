"""Change notifications and lifecycle events, read from the body that Graph posts, without I/O.

The order is the security order: size, shape, then each item's clientState (in constant time, against every secret
that is accepted), then the item's content. An item that fails is dropped and counted; its content reaches no log.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
https://learn.microsoft.com/graph/change-notifications-lifecycle-events
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.errors import IngestError
from ingest.model.message_ref import MAX_ID_LENGTH, MessageRef, Trigger, is_id

# Bytes: more than a thousand notifications. Any stranger can post, and reading costs time and memory before the
# sender is known.
MAX_BODY = 1024 * 1024
MAX_ITEMS = 2000  # of a post; Graph sends far fewer
# Commas and opening brackets in a post, counted before it is parsed: parsing a million bytes of `{},` or `[[1]]` costs
# a tenth of a second. An item has about a dozen.
MAX_VALUES = 20 * MAX_ITEMS
MAX_VALIDATION_TOKEN = 4096  # characters
MAX_RESOURCE = 2 * MAX_ID_LENGTH  # characters, so that the search costs little in any text
_RESOURCE = re.compile(
    r"users(?:/|\(')(?P<user>[^/']+)(?:'\))?/(?:mailfolders.*?/)?messages(?:/|\(')(?P<id>.+?)(?:'\))?", re.IGNORECASE
)


class NotANotification(IngestError):
    """A body that Graph would not post. The text says what is wrong and quotes nothing."""


class LifecycleEvent(StrEnum):
    """The events of a subscription. A value that Graph adds later is UNKNOWN; a sweep answers it."""

    REAUTHORIZATION_REQUIRED = "reauthorizationRequired"
    SUBSCRIPTION_REMOVED = "subscriptionRemoved"
    MISSED = "missed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionEvent:
    """A lifecycle event of one mailbox's subscription: what travels through `subscription-events`."""

    mailbox: str
    subscription_id: str
    event: LifecycleEvent

    def to_json(self) -> str:
        """Return the queue message's text."""
        return json.dumps(
            {"mailbox": self.mailbox, "subscriptionId": self.subscription_id, "event": self.event},
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> SubscriptionEvent:
        """Read the text that `to_json` wrote. Raises NotANotification."""
        try:
            value = json.loads(text)
            return cls(
                mailbox=str(value["mailbox"]),
                subscription_id=str(value["subscriptionId"]),
                event=_event(value["event"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotANotification("the queue message is not a subscription event") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """The number of dropped items, by the check that they failed."""

    client_state: int = 0
    mailbox: int = 0
    malformed: int = 0

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.client_state + self.mailbox + self.malformed


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted[Item]:
    """The items of a post that are for this app, and the count of dropped ones."""

    items: tuple[Item, ...]
    dropped: Dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The proof and the mailbox that a post must have.

    `client_states`: the secrets accepted, the newest first. `mailboxes`: ours, in lower case. `url_mailbox`: the
    one that the notification URL names, which is how a subscription's posts say where they belong: Graph itself
    names the mailbox by an id that we never see elsewhere.
    """

    client_states: Sequence[str]
    mailboxes: Sequence[str]
    url_mailbox: str | None = None

    def mailbox(self, user: str | None) -> str | None:
        """Return the mailbox that an item is about, or None where the mailbox is not ours."""
        if user is not None and user.lower() in self.mailboxes:
            return user.lower()
        if self.url_mailbox is not None:
            return self.url_mailbox.lower() if self.url_mailbox.lower() in self.mailboxes else None
        unnamed = user is None or "@" not in user
        return self.mailboxes[0] if unnamed and len(self.mailboxes) == 1 else None


def message_refs(body: bytes, expected: Expected) -> Accepted[MessageRef]:
    """Return the messages that a changeNotificationCollection names. Raises NotANotification."""
    return _accept(body, expected, _message_ref)


def subscription_events(body: bytes, expected: Expected) -> Accepted[SubscriptionEvent]:
    """Return the lifecycle events of a changeNotificationCollection. Raises NotANotification."""
    return _accept(body, expected, _subscription_event)


def _accept[Item](
    body: bytes, expected: Expected, read: Callable[[dict[str, Any], Expected], Item | None]
) -> Accepted[Item]:
    items: dict[Item, None] = {}  # Graph doubles notifications within a post, too
    wrong_state = wrong_mailbox = malformed = 0
    for value in _items(body):
        if not isinstance(value, dict):
            malformed += 1
        elif not _known_state(value.get("clientState"), expected.client_states):
            wrong_state += 1
        else:
            try:
                item = read(value, expected)
            except NotANotification:
                malformed += 1
                continue
            if item is None:
                wrong_mailbox += 1
            else:
                items[item] = None
    dropped = Dropped(client_state=wrong_state, mailbox=wrong_mailbox, malformed=malformed)
    return Accepted(items=tuple(items), dropped=dropped)


def _items(body: bytes) -> list[Any]:
    if len(body) > MAX_BODY:
        raise NotANotification(f"the body has more than {MAX_BODY} bytes")
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise NotANotification(f"the body has more than {MAX_VALUES} values")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise NotANotification("the body is not JSON") from None
    items = value.get("value") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise NotANotification("the body has no list named 'value'")
    if len(items) > MAX_ITEMS:
        raise NotANotification(f"the body has more than {MAX_ITEMS} items")
    return items


def _known_state(state: object, secrets: Sequence[str]) -> bool:
    """Compare with every secret, each in constant time."""
    given = state.encode("utf-8", "surrogatepass") if isinstance(state, str) else b""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(given, secret.encode())
    return found


def _message_ref(value: dict[str, Any], expected: Expected) -> MessageRef | None:
    resource = value.get("resource")
    named = None
    if isinstance(resource, str) and len(resource) <= MAX_RESOURCE:
        named = _RESOURCE.fullmatch(resource)
    data = value.get("resourceData")
    message_id = data.get("id") if isinstance(data, dict) else None
    if message_id is None and named is not None:
        message_id = named["id"]
    if not is_id(message_id):
        raise NotANotification("the item names no message")
    mailbox = expected.mailbox(named["user"] if named else None)
    return MessageRef(mailbox=mailbox, message_id=message_id, trigger=Trigger.WEBHOOK) if mailbox else None


def _subscription_event(value: dict[str, Any], expected: Expected) -> SubscriptionEvent | None:
    subscription_id = value.get("subscriptionId")
    if not is_id(subscription_id):
        raise NotANotification("the item names no subscription")
    event = _event(value.get("lifecycleEvent"))
    mailbox = expected.mailbox(None)
    return SubscriptionEvent(mailbox=mailbox, subscription_id=subscription_id, event=event) if mailbox else None


def _event(value: object) -> LifecycleEvent:
    try:
        return LifecycleEvent(str(value))
    except ValueError:
        return LifecycleEvent.UNKNOWN
