"""Checks of every request: the host name, the origin of a form; and headers that keep browsers strict."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Lock

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No inline script, no third party. Frames and images hold content, which is served from `content` only.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {content}; frame-src {content}; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# `sandbox` without a token: an origin of its own, no script, no form, no download by itself.
CONTENT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors {page}"
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware: refuses foreign hosts and foreign origins, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, policy: str) -> None:
        """`hosts`: the names under which the page is reached, None where a proxy checks them."""
        self._app = app
        self._hosts = hosts
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _COMMON.items():
                    answer.setdefault(name, value)
                answer.setdefault("Content-Security-Policy", self._policy)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self._hosts is not None and host not in self._hosts:
            return "This page is not served under that name."  # DNS rebinding
        if method in {"GET", "HEAD"}:
            return None
        origin = headers.get("origin", "")
        if origin.partition("://")[2] != host:
            return "A form of another site was sent here."
        return None


def form_token(session: str) -> str:
    """Return the text that a form of this session carries, so that no other site can send the form."""
    return hmac.new(session.encode(), b"form", hashlib.sha256).hexdigest()


def is_form_token(token: str, session: str) -> bool:
    """Return True for the token of this session."""
    return hmac.compare_digest(token.encode(), form_token(session).encode())


@dataclass(slots=True)
class RateLimit:
    """At most `most` events in any `seconds` for each key."""

    most: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _events: dict[str, deque[float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def allows(self, key: str) -> bool:
        """Count an event, and return False where there were too many."""
        now = self.clock()
        with self._lock:
            events = self._events.setdefault(key, deque())
            while events and events[0] <= now - self.seconds:
                events.popleft()
            if len(events) >= self.most:
                return False
            events.append(now)
            return True
