"""The client of the simulator's admin API, for tests, the demo, the chaos suite and the benchmark."""

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import requests

# Seconds. A condition may look at Postgres, too: the simulator sees no change there, which often follows one at once.
_SHORTEST_POLL, _LONGEST_POLL = 0.02, 1.0
_PATIENCE = 600.0  # seconds: a series of 50,000 mails takes a minute


class AdminError(Exception):
    """The simulator refused what was asked of it."""


@dataclass(frozen=True, kw_only=True)
class MessageState:
    """A message that was ever delivered.

    `folder` is the display name of the folder where it is now, or `deleted`, or `permanentlyDeleted`; `id` is
    the immutable one; `sha256` that of the MIME as it was received.
    """

    mailbox: str
    id: str
    internet_message_id: str
    subject: str
    folder: str
    categories: tuple[str, ...]
    is_read: bool
    received: datetime
    sha256: str


@dataclass(frozen=True, kw_only=True)
class SentState:
    """A mail that left. `return_path`: empty for the null return path."""

    return_path: str
    recipients: tuple[str, ...]
    mime: bytes


@dataclass(frozen=True, kw_only=True)
class SubscriptionState:
    """A subscription as Graph's client sees it, and what only the simulator knows of it."""

    id: str
    resource: str
    mailbox: str
    change_types: tuple[str, ...]
    notification_url: str
    lifecycle_url: str | None
    expires: datetime
    authorized_until: datetime
    immutable_ids: bool
    muted: bool
    held: int


@dataclass(frozen=True, kw_only=True)
class DeliveryState:
    """One POST to a webhook; `status` is None where no answer came in time."""

    at: datetime
    url: str
    kind: Literal["notification", "lifecycle"]
    subscription_ids: tuple[str, ...]
    items: int
    attempt: int
    status: int | None
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """`by_route` counts (`GET users/{user}/messages`, status).

    By mailbox: `max_concurrent`, and `busy_seconds` of the four places together. `bytes_sent`: all bodies of answers.
    """

    by_route: dict[tuple[str, int], int]
    max_concurrent: dict[str, int]
    busy_seconds: dict[str, float]
    bytes_sent: int
    throttled: int
    total: int


class Admin:
    """One simulator. Every call raises AdminError where the simulator refuses it.

    `messages` fetches only what changed since it was last called, so it is cheap to call often.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # The environment's proxies and CA bundle are not for a server on this machine.
        self._session.trust_env = False
        self._messages: dict[str, MessageState] = {}
        self._seen = -1

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    # State

    def messages(self) -> list[MessageState]:
        """Every message ever delivered, in the order of delivery."""
        answer = self._call("GET", f"/messages?since={self._seen}")
        for raw in answer["messages"]:
            self._messages[raw["id"]] = _message(raw)
        self._seen = answer["version"]
        return list(self._messages.values())

    def sent(self) -> list[SentState]:
        """Every mail that the app has sent, in order."""
        return [
            SentState(
                return_path=raw["returnPath"], recipients=tuple(raw["recipients"]), mime=base64.b64decode(raw["mime"])
            )
            for raw in self._call("GET", "/sent")["mails"]
        ]

    def folders(self, mailbox: str) -> dict[str, int]:
        """Messages per folder of one mailbox, by display name."""
        counts: dict[str, int] = self._call("GET", "/folders")[mailbox]
        return counts

    def wait_for[T](self, condition: Callable[[], T | None], *, timeout: float = 120.0, what: str = "") -> T:
        """Look again after every change until `condition` gives something true; that is the result.

        Raises TimeoutError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        poll = _SHORTEST_POLL
        while True:
            version = self._call("GET", "/version")["version"]
            if result := condition():
                return result
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"waited {timeout} s for {what or condition}")
            now = self._call("GET", f"/version?after={version}&timeout={min(left, poll)}")["version"]
            poll = _SHORTEST_POLL if now != version else min(2 * poll, _LONGEST_POLL)

    # Mail

    def deliver(
        self, raw: bytes, to: Sequence[str], *, folder: str = "inbox", links: Sequence[str] = ()
    ) -> list[MessageState]:
        """Deliver a mail without SMTP to its envelope recipients; one message per mailbox.

        `folder` is a well-known name: junk never reaches the inbox. `links` are names of cloud attachments.
        """
        query = [("folder", folder), *(("to", address) for address in to), *(("link", name) for name in links)]
        answer = self._call("POST", "/deliver", params=query, data=raw)
        return [_message(message) for message in answer["messages"]]

    def deliver_series(self, template: bytes, to: Sequence[str], *, count: int) -> None:
        """Deliver so many mails in one call: the template, `{number}` in it replaced by 1, 2, 3 and so on."""
        self._call("POST", "/deliver-series", params=[("count", count), *(("to", a) for a in to)], data=template)

    def move(self, message_id: str, folder: str) -> None:
        """As a user would (release from quarantine): `folder` is a display or well-known name."""
        self._call("POST", f"/messages/{message_id}/move", json={"folder": folder})

    def mark_read(self, message_id: str, *, is_read: bool = True) -> None:
        """As a user would."""
        self._call("POST", f"/messages/{message_id}/read", json={"isRead": is_read})

    def backdate(self, message_id: str, seconds: float) -> None:
        """Let Exchange have received a message so much earlier. No notification follows."""
        self._call("POST", f"/messages/{message_id}/backdate", json={"seconds": seconds})

    def rename_folder(self, mailbox: str, folder: str, display_name: str) -> None:
        """As a user would."""
        self._call(
            "POST",
            "/folders/rename",
            json={"mailbox": mailbox, "folder": folder, "displayName": display_name},
        )

    def delete_folder(self, mailbox: str, folder: str) -> None:
        """As a user would; the messages in it go to Deleted Items."""
        self._call("POST", "/folders/delete", json={"mailbox": mailbox, "folder": folder})

    def set_ballast(self, mailbox: str, folder: str, size: int) -> None:
        """Let a folder weigh so many bytes more than its messages: years of mail without the mails."""
        self._call("PUT", "/folders/ballast", json={"mailbox": mailbox, "folder": folder, "bytes": size})

    # Trouble

    def set_latency(self, milliseconds: float) -> None:
        """Of every request to Graph from now on."""
        self._call("PUT", "/latency", json={"milliseconds": milliseconds})

    def set_outage(self, *, on: bool) -> None:
        """While it is on, connections to Graph are refused and notifications wait."""
        self._call("PUT", "/outage", json={"on": on})

    def add_fault(
        self,
        *kinds: int | str,
        probability: float = 1.0,
        seed: int = 0,
        method: str = "",
        path: str = "",
        limit: int | None = None,
        seconds: float = 2.0,
        retry_after: float = 1.0,
    ) -> None:
        """Make requests fail; see `local.graph.http.faults` for the kinds and for the meaning of each argument."""
        rule = {
            "kinds": kinds,
            "probability": probability,
            "seed": seed,
            "method": method,
            "path": path,
            "limit": limit,
            "seconds": seconds,
            "retry_after": retry_after,
        }
        self._call("POST", "/faults", json=rule)

    def clear_faults(self) -> None:
        """No request fails on purpose any more."""
        self._call("DELETE", "/faults")

    def fault_counters(self) -> dict[str, int]:
        """Return what was injected, by kind."""
        counters: dict[str, int] = self._call("GET", "/faults")["counters"]
        return counters

    def expire_tokens(self) -> int:
        """Every access token given out so far; how many."""
        expired: int = self._call("POST", "/tokens/expire")["expired"]
        return expired

    # Notifications and subscriptions

    def set_notification_faults(
        self,
        *,
        drop_next: int = 0,
        drop_probability: float = 0.0,
        double_probability: float = 0.0,
        delay: tuple[float, float] = (0.0, 0.0),
        reorder: bool = False,
        seed: int = 0,
    ) -> None:
        """From the next notification on; without arguments, none. `delay` is a range in seconds."""
        faults = {
            "drop_next": drop_next,
            "drop_probability": drop_probability,
            "double_probability": double_probability,
            "delay": delay,
            "reorder": reorder,
            "seed": seed,
        }
        self._call("PUT", "/notifications/faults", json=faults)

    def deliver_now(self) -> None:
        """Notifications that wait for a delay or a retry go out at once."""
        self._call("POST", "/notifications/deliver-now")

    def notification_counters(self) -> dict[str, int]:
        """delivered, dropped, doubled, delayed, reordered, failed deliveries, given up."""
        counters: dict[str, int] = self._call("GET", "/notifications")["counters"]
        return counters

    def deliveries(self) -> list[DeliveryState]:
        """Return the latest POSTs to webhooks with their answers, oldest first."""
        return [
            DeliveryState(
                **{
                    **raw,
                    "at": datetime.fromisoformat(raw["at"]),
                    "subscription_ids": tuple(raw["subscription_ids"]),
                }
            )
            for raw in self._call("GET", "/notifications")["deliveries"]
        ]

    def subscriptions(self) -> list[SubscriptionState]:
        """Those that have not expired."""
        return [_subscription(raw) for raw in self._call("GET", "/subscriptions")["subscriptions"]]

    def remove_subscription(self, subscription_id: str) -> None:
        """Silently."""
        self._call("DELETE", f"/subscriptions/{subscription_id}")

    def mute_subscription(self, subscription_id: str, *, on: bool = True) -> None:
        """Let it stay in the list and deliver nothing."""
        self._call("PUT", f"/subscriptions/{subscription_id}/muted", json={"on": on})

    def expire_subscription(self, subscription_id: str) -> None:
        """As if its time had run out."""
        self._call("POST", f"/subscriptions/{subscription_id}/expire")

    def emit_lifecycle(
        self,
        subscription_id: str,
        event: Literal["reauthorizationRequired", "subscriptionRemoved", "missed"],
        *,
        hold: bool = False,
    ) -> None:
        """Send a lifecycle event; with `hold`, notifications wait until the subscription is reauthorized."""
        self._call("POST", f"/subscriptions/{subscription_id}/lifecycle", json={"event": event, "hold": hold})

    # Requests

    def requests(self) -> RequestCounts:
        """Return what was asked of Graph since the start or the last reset."""
        answer = self._call("GET", "/requests")
        return RequestCounts(
            by_route={(entry["route"], entry["status"]): entry["count"] for entry in answer["routes"]},
            max_concurrent=answer["maxConcurrent"],
            busy_seconds=answer["busySeconds"],
            bytes_sent=answer["bytesSent"],
            throttled=answer["throttled"],
            total=answer["total"],
        )

    def reset_counters(self) -> None:
        """Of requests, faults and notifications."""
        self._call("DELETE", "/requests")

    def _call(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - requests' options in, JSON out
        answer = self._session.request(method, self.url + path, timeout=_PATIENCE, **options)
        body = answer.json()
        if answer.status_code >= 400:  # noqa: PLR2004 - HTTP's classes of errors
            raise AdminError(f"{method} {path}: {body.get('error')}")
        return body


def _message(raw: dict[str, Any]) -> MessageState:
    return MessageState(
        mailbox=raw["mailbox"],
        id=raw["id"],
        internet_message_id=raw["internetMessageId"],
        subject=raw["subject"],
        folder=raw["folder"],
        categories=tuple(raw["categories"]),
        is_read=raw["isRead"],
        received=datetime.fromisoformat(raw["receivedDateTime"]),
        sha256=raw["sha256"],
    )


def _subscription(raw: dict[str, Any]) -> SubscriptionState:
    return SubscriptionState(
        id=raw["id"],
        resource=raw["resource"],
        mailbox=raw["mailbox"],
        change_types=tuple(raw["changeTypes"]),
        notification_url=raw["notificationUrl"],
        lifecycle_url=raw["lifecycleNotificationUrl"],
        expires=datetime.fromisoformat(raw["expires"]),
        authorized_until=datetime.fromisoformat(raw["authorizedUntil"]),
        immutable_ids=raw["immutableIds"],
        muted=raw["muted"],
        held=raw["held"],
    )
