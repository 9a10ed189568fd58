"""The admin API: what tests and the demo ask of the simulator and do to it. Plain HTTP on a port of its own.

Its client is `local.graph.admin.client.Admin`; README.md lists the calls.
"""

import base64
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiohttp import web

from local.graph import clock
from local.graph.http.auth import Tokens
from local.graph.http.doors import Door
from local.graph.http.errors import GraphError
from local.graph.http.faults import Faults, Rule
from local.graph.http.gateway import Gateway
from local.graph.http.throttling import Throttle
from local.graph.mail.content import ContentWriter
from local.graph.mail.outgoing import Sink
from local.graph.mail.postmaster import Postmaster
from local.graph.mail.store import Folder, Mailbox, Message, Store
from local.graph.push.changes import ChangeFeed
from local.graph.push.notifications import DeliveryFaults, Notifier
from local.graph.push.subscriptions import Subscription, SubscriptionRoutes

_LONGEST_POLL = 60.0
type _Call = Callable[[web.Request], Awaitable[object]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdminServer:
    """Every part of the simulator that can be looked at or tampered with."""

    store: Store
    feed: ChangeFeed
    postmaster: Postmaster
    gateway: Gateway
    throttle: Throttle
    faults: Faults
    tokens: Tokens
    notifier: Notifier
    subscriptions: SubscriptionRoutes
    door: Door
    sink: Sink

    def application(self) -> web.Application:
        """All calls, each answering with JSON."""
        app = web.Application(client_max_size=1 << 20)
        calls: tuple[tuple[str, str, _Call], ...] = (
            ("GET", "/version", self._version),
            ("GET", "/messages", self._messages),
            ("GET", "/folders", self._folders),
            ("GET", "/sent", self._sent),
            ("POST", "/deliver", self._deliver),
            ("POST", "/deliver-series", self._deliver_series),
            ("POST", "/messages/{id}/move", self._move),
            ("POST", "/messages/{id}/read", self._read),
            ("POST", "/messages/{id}/backdate", self._backdate),
            ("POST", "/folders/rename", self._rename_folder),
            ("POST", "/folders/delete", self._delete_folder),
            ("PUT", "/folders/ballast", self._ballast),
            ("PUT", "/latency", self._latency),
            ("PUT", "/outage", self._outage),
            ("GET", "/faults", self._get_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("POST", "/tokens/expire", self._expire_tokens),
            ("GET", "/notifications", self._get_notifications),
            ("PUT", "/notifications/faults", self._notification_faults),
            ("POST", "/notifications/deliver-now", self._deliver_now),
            ("GET", "/subscriptions", self._get_subscriptions),
            ("DELETE", "/subscriptions/{id}", self._remove_subscription),
            ("PUT", "/subscriptions/{id}/muted", self._mute_subscription),
            ("POST", "/subscriptions/{id}/expire", self._expire_subscription),
            ("POST", "/subscriptions/{id}/lifecycle", self._lifecycle),
            ("GET", "/requests", self._requests),
            ("DELETE", "/requests", self._reset_requests),
        )
        for method, path, call in calls:
            app.router.add_route(method, path, _answering(call))
        return app

    # State

    async def _version(self, request: web.Request) -> object:
        """Long poll: answers when the version is above `after`, or when `timeout` seconds are over."""
        after = int(request.query.get("after", "-1"))
        timeout = min(float(request.query.get("timeout", "0")), _LONGEST_POLL)
        return {"version": await self.feed.after(after, timeout=timeout)}

    async def _messages(self, request: web.Request) -> object:
        since = int(request.query.get("since", "-1"))
        changed = [m for m in self.store.messages.values() if m.version > since]
        return {"version": self.feed.version, "messages": [_message(m) for m in changed]}

    async def _folders(self, _: web.Request) -> object:
        counts: dict[str, dict[str, int]] = {mailbox.address: {} for mailbox in self.store.mailboxes}
        for mailbox, folder in self.store.folders():
            counts[mailbox.address][folder.display_name] = len(folder.messages)
        return counts

    async def _sent(self, _: web.Request) -> object:
        return {
            "mails": [
                {
                    "returnPath": mail.return_path,
                    "recipients": mail.recipients,
                    "mime": base64.b64encode(mail.mime).decode(),
                }
                for mail in self.sink.mails
            ]
        }

    # Mail

    async def _deliver(self, request: web.Request) -> object:
        """Deliver the body, raw MIME, to the envelope recipients in `to` (repeatable).

        `folder` is a well-known name; `link` (repeatable) names a cloud attachment.
        """
        at = self.postmaster.new_path()
        writer = ContentWriter(at.with_name(at.name + ".eml"))
        async for block in request.content.iter_chunked(1 << 18):
            writer.write(block)
        delivered = await self.postmaster.deliver(
            writer.close(),
            request.query.getall("to", []),
            at=at,
            folder=request.query.get("folder", "inbox"),
            links=request.query.getall("link", []),
        )
        return {"messages": [_message(message) for message in delivered]}

    async def _deliver_series(self, request: web.Request) -> object:
        """Deliver the body `count` times, `{number}` in it replaced by the number of the mail."""
        recipients, count = request.query.getall("to", []), int(request.query["count"])
        await self.postmaster.deliver_series(await request.read(), recipients, count=count)
        return {}

    async def _move(self, request: web.Request) -> object:
        message = self._named_message(request)
        body = await request.json()
        self.store.move(message, _folder(message.mailbox, body["folder"]))
        return _message(message)

    async def _read(self, request: web.Request) -> object:
        message = self._named_message(request)
        message.is_read = bool((await request.json())["isRead"])
        self.store.updated(message)
        return _message(message)

    async def _backdate(self, request: web.Request) -> object:
        message = self._named_message(request)
        message.received -= timedelta(seconds=float((await request.json())["seconds"]))
        return _message(message)

    async def _rename_folder(self, request: web.Request) -> object:
        body = await request.json()
        mailbox = self.store.mailbox(body["mailbox"])
        self.store.rename_folder(mailbox, _folder(mailbox, body["folder"]), body["displayName"])
        return {}

    async def _delete_folder(self, request: web.Request) -> object:
        body = await request.json()
        mailbox = self.store.mailbox(body["mailbox"])
        self.store.delete_folder(mailbox, _folder(mailbox, body["folder"]))
        return {}

    async def _ballast(self, request: web.Request) -> object:
        body = await request.json()
        _folder(self.store.mailbox(body["mailbox"]), body["folder"]).ballast = int(body["bytes"])
        return {}

    # Trouble

    async def _latency(self, request: web.Request) -> object:
        self.gateway.latency = float((await request.json())["milliseconds"]) / 1000
        return {}

    async def _outage(self, request: web.Request) -> object:
        """While it is on, the Graph port refuses connections and notifications wait."""
        if (await request.json())["on"]:
            self.notifier.set_online(online=False)
            await self.door.close()
        else:
            await self.door.open()
            self.notifier.set_online(online=True)
        return {}

    async def _get_faults(self, _: web.Request) -> object:
        return {"counters": dict(self.faults.counters)}

    async def _add_fault(self, request: web.Request) -> object:
        body = await request.json()
        self.faults.add(Rule(**{**body, "kinds": tuple(body["kinds"])}))
        return {}

    async def _clear_faults(self, _: web.Request) -> object:
        self.faults.clear()
        return {}

    async def _expire_tokens(self, _: web.Request) -> object:
        return {"expired": self.tokens.expire_all()}

    # Notifications and subscriptions

    async def _get_notifications(self, _: web.Request) -> object:
        deliveries = [{**dataclasses.asdict(d), "at": d.at.isoformat()} for d in self.notifier.deliveries]
        return {"counters": dict(self.notifier.counters), "deliveries": deliveries}

    async def _notification_faults(self, request: web.Request) -> object:
        body = await request.json()
        self.notifier.set_faults(DeliveryFaults(**{**body, "delay": tuple(body.get("delay", (0, 0)))}))
        return {}

    async def _deliver_now(self, _: web.Request) -> object:
        self.notifier.deliver_now()
        return {}

    async def _get_subscriptions(self, _: web.Request) -> object:
        return {"subscriptions": [_subscription(s) for s in self.subscriptions.alive()]}

    async def _remove_subscription(self, request: web.Request) -> object:
        self.subscriptions.remove(self._named_subscription(request))
        return {}

    async def _mute_subscription(self, request: web.Request) -> object:
        self._named_subscription(request).muted = bool((await request.json())["on"])
        return {}

    async def _expire_subscription(self, request: web.Request) -> object:
        self._named_subscription(request).expires = clock.now()
        self.feed.bump()
        return {}

    async def _lifecycle(self, request: web.Request) -> object:
        body = await request.json()
        event = body["event"]
        if event not in {"reauthorizationRequired", "subscriptionRemoved", "missed"}:
            raise ValueError(f"{event} is no lifecycle event")
        self.subscriptions.emit(self._named_subscription(request), event, hold=bool(body.get("hold")))
        return {}

    # Requests

    async def _requests(self, _: web.Request) -> object:
        counters = self.gateway.counters
        return {
            "routes": [{"route": r, "status": s, "count": n} for (r, s), n in sorted(counters.items())],
            "maxConcurrent": self.throttle.most_concurrent(),
            "busySeconds": self.throttle.busy_seconds(),
            "bytesSent": self.gateway.bytes_sent,
            "throttled": sum(n for (_, status), n in counters.items() if status == 429),  # noqa: PLR2004 - HTTP's number
            "total": counters.total(),
        }

    async def _reset_requests(self, _: web.Request) -> object:
        self.gateway.counters.clear()
        self.gateway.bytes_sent = 0
        self.throttle.reset_counters()
        self.faults.counters.clear()
        self.notifier.counters.clear()
        self.notifier.deliveries.clear()
        return {}

    def _named_message(self, request: web.Request) -> Message:
        return self.store.messages[request.match_info["id"]]

    def _named_subscription(self, request: web.Request) -> Subscription:
        return self.subscriptions.find(request.match_info["id"])


def _answering(call: _Call) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(await call(request))
        except GraphError as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handle


def _folder(mailbox: Mailbox, name: str) -> Folder:
    """By display name, well-known name or id."""
    for folder in mailbox.folders.values():
        if folder.display_name.casefold() == name.casefold():
            return folder
    return mailbox.folder(name)


def _message(message: Message) -> dict[str, Any]:
    return {
        "mailbox": message.mailbox.address,
        "id": message.immutable_id,
        "internetMessageId": message.internet_message_id,
        "subject": message.subject,
        "folder": message.where,
        "categories": list(message.categories),
        "isRead": message.is_read,
        "receivedDateTime": message.received.isoformat(),
        "sha256": message.mime.sha256,
        "version": message.version,
    }


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "resource": subscription.resource,
        "mailbox": subscription.mailbox.address,
        "changeTypes": sorted(subscription.change_types),
        "notificationUrl": subscription.notification_url,
        "lifecycleNotificationUrl": subscription.lifecycle_url,
        "expires": subscription.expires.isoformat(),
        "authorizedUntil": subscription.authorized_until.isoformat(),
        "immutableIds": subscription.immutable_ids,
        "muted": subscription.muted,
        "held": len(subscription.held),
    }
