"""Subscriptions: create with a real handshake, list, renew, reauthorize, delete; changes become notifications.

https://learn.microsoft.com/graph/api/resources/subscription
"""

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote, urlsplit

import aiohttp

from local.graph import clock
from local.graph.config import Config
from local.graph.http.errors import GraphError, invalid_request, unknown_property
from local.graph.http.routes import Routes, split_path
from local.graph.mail.exchange import NO_CONTENT, Json, Request, Response
from local.graph.mail.representation import etag
from local.graph.mail.store import Change, Folder, Mailbox, Store
from local.graph.push.changes import ChangeFeed
from local.graph.push.notifications import Notifier

type LifecycleEvent = Literal["reauthorizationRequired", "subscriptionRemoved", "missed"]

_LONGEST = timedelta(minutes=10_080)
_LONGEST_WITH_DATA = timedelta(minutes=1_440)
_SHORTEST = timedelta(minutes=45)
_LONGEST_CLIENT_STATE = 128
_HANDSHAKE_SECONDS = 10.0
_MAX_HELD = timedelta(hours=4)
_CHANGE_TYPES = frozenset({"created", "updated", "deleted"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WRITABLE = frozenset(
    {
        "changeType",
        "clientState",
        "expirationDateTime",
        "includeResourceData",
        "latestSupportedTlsVersion",
        "lifecycleNotificationUrl",
        "notificationQueryOptions",
        "notificationUrl",
        "resource",
        "encryptionCertificate",
        "encryptionCertificateId",
    }
)
_RESOURCE = re.compile(r"/?users/([^/]+)(?:/mailFolders(?:/[^/]+|\('[^']+'\)))?/messages/?\Z", re.IGNORECASE)


@dataclass(kw_only=True, slots=True, eq=False)
class Subscription:
    """One subscription; `folder` is None where it covers the whole mailbox.

    `authorized_until` is when the access token that it holds runs out: from then on its notifications are
    held. `muted` ones look alive and notify of nothing.
    """

    id: str
    resource: str
    mailbox: Mailbox
    folder: Folder | None
    change_types: frozenset[str]
    notification_url: str
    lifecycle_url: str | None
    client_state: str | None
    expires: datetime
    immutable_ids: bool
    tls_version: str
    authorized_until: datetime
    asked_to_reauthorize: bool = False
    muted: bool = False
    held: list[tuple[datetime, Json]] = field(default_factory=list)

    def covers(self, change: Change) -> bool:
        """Return True for a change that the subscription was made for."""
        if change.change_type not in self.change_types or change.message.mailbox is not self.mailbox:
            return False
        return self.folder is None or change.folder is self.folder


class SubscriptionRoutes:
    """All subscriptions and their paths. `watch` runs until cancelled and asks for reauthorization."""

    def __init__(self, *, config: Config, store: Store, notifier: Notifier, feed: ChangeFeed) -> None:
        self._config = config
        self._store = store
        self._notifier = notifier
        self._feed = feed
        self._subscriptions: dict[str, Subscription] = {}
        store.listeners.append(self._on_change)

    def register(self, routes: Routes) -> None:
        """Add every path of this subject."""
        one = "subscriptions/{subscription}"
        routes.add("GET", "subscriptions", self.list_subscriptions)
        routes.add("POST", "subscriptions", self.create)
        routes.add("GET", one, self.get)
        routes.add("PATCH", one, self.renew)
        routes.add("DELETE", one, self.delete)
        routes.add("POST", f"{one}/reauthorize", self.reauthorize)

    # Requests

    async def list_subscriptions(self, request: Request) -> Response:
        """Those that have not expired."""
        return Response(
            json={
                "@odata.context": f"{request.base_url}/$metadata#subscriptions",
                "value": [self._json(subscription) for subscription in self.alive()],
            }
        )

    async def get(self, request: Request) -> Response:
        """One."""
        return self._answer(request, self._named(request))

    async def create(self, request: Request) -> Response:
        """Check it, then call both URLs are called; only when both answer as they should does it exist."""
        body = request.json_object()
        _check_members(body)
        for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
            if not body.get(name):
                raise invalid_request(f"{name} is a required property for subscription creation.")
        mailbox, folder = self._resolve(body["resource"])
        subscription = Subscription(
            id=str(uuid.uuid4()),
            resource=body["resource"],
            mailbox=mailbox,
            folder=folder,
            change_types=_change_types(body["changeType"]),
            notification_url=_url(body, "notificationUrl"),
            lifecycle_url=_url(body, "lifecycleNotificationUrl") if body.get("lifecycleNotificationUrl") else None,
            client_state=_client_state(body),
            expires=_expiration(body, with_data=body.get("includeResourceData") is True),
            immutable_ids=request.immutable_ids,
            tls_version=body.get("latestSupportedTlsVersion") or "v1_2",
            authorized_until=self._authorized_until(),
        )
        self._check_allowed(subscription)
        for url in filter(None, (subscription.notification_url, subscription.lifecycle_url)):
            await self._handshake(url)
        # Another request may have created the same one while this one shook hands.
        self._check_allowed(subscription)
        self._subscriptions[subscription.id] = subscription
        self._feed.bump()
        return self._answer(request, subscription, status=201, client_state=subscription.client_state)

    async def renew(self, request: Request) -> Response:
        """PATCH expirationDateTime (which reauthorizes too) or notificationUrl (which shakes hands again)."""
        subscription = self._named(request)
        body = request.json_object()
        _check_members(body)
        if "lifecycleNotificationUrl" in body:
            raise invalid_request("lifecycleNotificationUrl can't be changed; delete and create the subscription.")
        expires = _expiration(body, with_data=False) if "expirationDateTime" in body else subscription.expires
        url = _url(body, "notificationUrl") if "notificationUrl" in body else subscription.notification_url
        if url != subscription.notification_url:
            await self._handshake(url)
        subscription.expires, subscription.notification_url = expires, url
        self._authorize(subscription)
        return self._answer(request, subscription)

    async def reauthorize(self, request: Request) -> Response:
        """Give the subscription a new access token and deliver what was held. 200 without a body."""
        self._authorize(self._named(request))
        return Response()

    async def delete(self, request: Request) -> Response:
        """By its owner."""
        del self._subscriptions[self._named(request).id]
        self._feed.bump()
        return NO_CONTENT

    # What tests and time do to subscriptions

    def alive(self) -> list[Subscription]:
        """All that have not expired; the others are dropped on the way."""
        moment = clock.now()
        for expired in [s.id for s in self._subscriptions.values() if s.expires <= moment]:
            del self._subscriptions[expired]
            self._feed.bump()
        return list(self._subscriptions.values())

    def find(self, key: str) -> Subscription:
        """By id; 404 where it is gone or expired."""
        for subscription in self.alive():
            if subscription.id == key.lower():
                return subscription
        raise GraphError(404, "ResourceNotFound", "The object was not found.")

    def remove(self, subscription: Subscription) -> None:
        """Without a word to anyone."""
        self._subscriptions.pop(subscription.id, None)
        self._feed.bump()

    def emit(self, subscription: Subscription, event: LifecycleEvent, *, hold: bool = False) -> None:
        """Send a lifecycle event; `subscriptionRemoved` removes it, `hold` makes its notifications wait."""
        if event == "subscriptionRemoved":
            self.remove(subscription)
        if hold:
            subscription.authorized_until = clock.now()
        if subscription.lifecycle_url is not None:
            item = self._item(subscription) | {"lifecycleEvent": event}
            self._notifier.send(subscription.lifecycle_url, item, "lifecycle")
        self._feed.bump()

    async def watch(self) -> None:
        """Ask for reauthorization when a quarter of the token's life is left."""
        margin = timedelta(seconds=self._config.subscription_token_lifetime / 4)
        while True:
            await asyncio.sleep(min(30.0, self._config.subscription_token_lifetime / 20))
            for subscription in self.alive():
                if not subscription.asked_to_reauthorize and clock.now() >= subscription.authorized_until - margin:
                    subscription.asked_to_reauthorize = True
                    self.emit(subscription, "reauthorizationRequired")

    def _on_change(self, change: Change) -> None:
        for subscription in self.alive():
            if subscription.muted or not subscription.covers(change):
                continue
            item = self._change_item(subscription, change)
            if clock.now() >= subscription.authorized_until:
                subscription.held.append((clock.now(), item))
            else:
                self._notifier.send(subscription.notification_url, item, "notification")

    def _authorize(self, subscription: Subscription) -> None:
        subscription.authorized_until = self._authorized_until()
        subscription.asked_to_reauthorize = False
        oldest = clock.now() - _MAX_HELD
        held, subscription.held = subscription.held, []
        for moment, item in held:
            if moment >= oldest:
                self._notifier.send(subscription.notification_url, item, "notification")
        self._feed.bump()

    def _authorized_until(self) -> datetime:
        return clock.now() + timedelta(seconds=self._config.subscription_token_lifetime)

    def _named(self, request: Request) -> Subscription:
        return self.find(request.parameters["subscription"])

    def _resolve(self, resource: object) -> tuple[Mailbox, Folder | None]:
        """`users/{id}/messages` or `users/{id}/mailFolders('inbox')/messages`."""
        if not isinstance(resource, str) or not _RESOURCE.match(resource):
            raise invalid_request(f"The resource '{resource}' is not supported; the simulator has messages only.")
        segments = split_path(resource)
        mailbox = self._store.mailbox(segments[1])
        return mailbox, mailbox.folder(segments[3]) if len(segments) > len(("users", "id", "messages")) else None

    def _check_allowed(self, wanted: Subscription) -> None:
        mine = [s for s in self.alive() if s.mailbox is wanted.mailbox]
        if len(mine) >= self._config.limits.subscriptions:
            raise _refused_by_outlook(403, "Forbidden", "Maximum number of subscriptions has been reached")
        if self._config.accept_duplicate_subscriptions:
            return
        for other in mine:
            if other.folder is wanted.folder and other.change_types == wanted.change_types:
                raise _refused_by_outlook(
                    409,
                    "Conflict",
                    f"Subscription Id {other.id} already exists for the requested combination",
                )

    async def _handshake(self, url: str) -> None:
        """Demand that the URL echoes a token, decoded, as plain text within 10 seconds."""
        token = (
            f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()} <&+%20>"
        )
        target = f"{url}{'&' if urlsplit(url).query else '?'}validationToken={quote(token, safe='')}"
        try:
            async with self._notifier.session.post(
                target,
                data=b"",
                headers={"Content-Type": "text/plain; charset=utf-8"},
                timeout=aiohttp.ClientTimeout(total=_HANDSHAKE_SECONDS),
                allow_redirects=False,
            ) as answer:
                status, kind, text = answer.status, answer.content_type, await answer.text()
        except TimeoutError:
            raise _not_validated("Subscription validation request timed out.") from None
        except (aiohttp.ClientError, ConnectionError):
            raise _not_validated(
                "Subscription validation request failed. Notification endpoint can't be reached."
            ) from None
        if status != 200:  # noqa: PLR2004 - HTTP's own number
            raise _not_validated(
                "Subscription validation request failed. Notification endpoint must respond with 200 OK to "
                "validation request."
            )
        if kind != "text/plain" or text != token:
            raise _not_validated(
                "Subscription validation request failed. Notification endpoint must respond with the decoded "
                "validation token as text/plain."
            )

    def _answer(
        self,
        request: Request,
        subscription: Subscription,
        *,
        status: int = 200,
        client_state: str | None = None,
    ) -> Response:
        context = {"@odata.context": f"{request.base_url}/$metadata#subscriptions/$entity"}
        return Response(status=status, json=context | self._json(subscription) | {"clientState": client_state})

    def _json(self, subscription: Subscription) -> Json:
        return {
            "id": subscription.id,
            "resource": subscription.resource,
            "applicationId": self._config.client_id,
            "changeType": ",".join(sorted(subscription.change_types)),
            # Only the answer to the creation shows it.
            "clientState": None,
            "notificationUrl": subscription.notification_url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": subscription.lifecycle_url,
            "expirationDateTime": clock.to_fraction(subscription.expires),
            "creatorId": str(uuid.uuid5(uuid.NAMESPACE_OID, self._config.client_id)),
            "includeResourceData": None,
            "latestSupportedTlsVersion": subscription.tls_version,
            "encryptionCertificate": None,
            "encryptionCertificateId": None,
            "notificationUrlAppId": None,
        }

    def _item(self, subscription: Subscription) -> Json:
        return {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": clock.to_fraction(subscription.expires),
            "clientState": subscription.client_state,
            "tenantId": self._config.tenant_id,
        }

    def _change_item(self, subscription: Subscription, change: Change) -> Json:
        message = change.message
        message_id = message.immutable_id if subscription.immutable_ids else message.default_id
        resource = f"Users/{message.mailbox.guid}/Messages/{message_id}"
        return self._item(subscription) | {
            "changeType": change.change_type,
            "resource": resource,
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.Message",
                "@odata.id": resource,
                "@odata.etag": etag(message),
                "id": message_id,
            },
        }


def _check_members(body: Mapping[str, object]) -> None:
    for name in body:
        if name not in _WRITABLE and not name.startswith("@odata."):
            raise unknown_property(name, "subscription")


def _change_types(text: object) -> frozenset[str]:
    found = frozenset(part.strip().lower() for part in str(text).split(","))
    if not found <= _CHANGE_TYPES:
        raise invalid_request(f"The changeType '{text}' is not supported.")
    return found


def _client_state(body: Mapping[str, object]) -> str | None:
    value = body.get("clientState")
    if value is not None and (not isinstance(value, str) or len(value) > _LONGEST_CLIENT_STATE):
        raise invalid_request(f"clientState must be a string of at most {_LONGEST_CLIENT_STATE} characters.")
    return value


def _url(body: Mapping[str, object], name: str) -> str:
    """Take https, as Graph does, and http for this machine only: the local functions host has no TLS."""
    url = body.get(name)
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return str(url)
    raise invalid_request(f"The {name} must be an https URL.")


def _expiration(body: Mapping[str, object], *, with_data: bool) -> datetime:
    """Less than 45 minutes ahead is raised to 45; too far ahead, past or unreadable is 400."""
    text = body["expirationDateTime"]
    try:
        wanted = clock.parse(str(text))
    except ValueError:
        raise invalid_request(f"'{text}' is not a valid expirationDateTime.") from None
    longest = _LONGEST_WITH_DATA if with_data else _LONGEST
    moment = clock.now()
    # A client with a clock a little ahead of ours that asks for the maximum is not refused.
    if wanted > moment + longest + timedelta(minutes=1):
        raise invalid_request(
            f"Subscription expiration can only be {int(longest.total_seconds() // 60)} minutes in the future."
        )
    if wanted <= moment:
        raise invalid_request("Subscription expiration must be in the future.")
    return max(wanted, moment + _SHORTEST)


def _refused_by_outlook(status: int, name: str, reason: str) -> GraphError:
    message = f"Operation: Create; Exception: [Status Code: {name}; Reason: {reason}]"
    return GraphError(status, "ExtensionError", message)


def _not_validated(message: str) -> GraphError:
    return GraphError(400, "ValidationError", message)
