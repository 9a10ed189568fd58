"""People who may open the page, and the proof of who they are.

On one machine the page prints a link with a key that works once, as Jupyter does; the browser gets a session for it.
On Azure, App Service signs people in with Entra ID and names them in a header that it alone can set:
https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from ingest.errors import SettingsError

SESSION_COOKIE = "console_session"
KEY_BYTES = 32
MAX_PRINCIPAL = 64 * 1024  # characters of App Service's header


class Role(IntEnum):
    """The powers of a person. A higher role includes every lower one."""

    READER = 1
    OPERATOR = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A signed-in person. `session` binds forms to the sign-in; it is a secret."""

    name: str
    role: Role
    session: str = field(repr=False)


class Access(Protocol):
    """The way people are recognised."""

    def person(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Person | None:
        """Return the person that a request comes from, None for a stranger."""

    def origin(self, headers: Mapping[str, str], peer: str) -> str:
        """Return the place of the person's browser, for the record. `peer`: the address of the connection."""


class LoopbackAccess:
    """Access for the person at this machine: a key that works once is exchanged for a session."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key: str | None = secrets.token_urlsafe(KEY_BYTES)
        self._session = secrets.token_urlsafe(KEY_BYTES)

    @property
    def key(self) -> str | None:
        """The key of the link that opens the page; None once it was used."""
        return self._key

    def exchange(self, key: str) -> str | None:
        """Return the session for the right key, which then works no more; None for any other text."""
        if self._key is None or not hmac.compare_digest(key.encode(), self._key.encode()):
            return None
        self._key = None
        return self._session

    def person(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Person | None:  # noqa: ARG002 - Access
        """Return the person of the browser's session."""
        session = cookies.get(SESSION_COOKIE, "")
        if not hmac.compare_digest(session.encode(), self._session.encode()):
            return None
        return Person(name=self._name, role=Role.OPERATOR, session=self._session)

    def origin(self, headers: Mapping[str, str], peer: str) -> str:  # noqa: ARG002 - Access
        """Return the loopback's address and this machine's name."""
        return f"{peer}@{platform.node()}"


class EntraAccess:
    """Access for people whom App Service has signed in, by the app roles `reader` and `operator`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raise SettingsError where App Service does not authenticate: its header could come from a stranger."""
        if environ.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":
            raise SettingsError(
                ["WEBSITE_AUTH_ENABLED: App Service authentication is off. Turn it on, see docs/console.md"]
            )
        self._secret = secrets.token_bytes(KEY_BYTES)

    def person(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Person | None:  # noqa: ARG002 - Access
        """Return the person that App Service names; None without one of the two roles."""
        claims = _claims(headers.get("x-ms-client-principal", ""))
        roles = {value for kind, value in claims if kind in {"roles", _ROLE_CLAIM}}
        role = Role.OPERATOR if "operator" in roles else Role.READER if "reader" in roles else None
        subject = headers.get("x-ms-client-principal-id", "")
        if role is None or not subject:
            return None
        session = hmac.new(self._secret, subject.encode(), hashlib.sha256).hexdigest()
        return Person(name=headers.get("x-ms-client-principal-name") or subject, role=role, session=session)

    def origin(self, headers: Mapping[str, str], peer: str) -> str:
        """Return the last address in X-Forwarded-For: App Service appends that one, a stranger can write the others.

        https://learn.microsoft.com/azure/app-service/overview-inbound-outbound-ips
        """
        return headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or peer


_ROLE_CLAIM = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def _claims(header: str) -> list[tuple[str, str]]:
    """Read App Service's claims; a header that can't be read holds none."""
    if not header or len(header) > MAX_PRINCIPAL:
        return []
    try:
        principal = json.loads(base64.b64decode(header, validate=True))
        return [(str(claim["typ"]), str(claim["val"])) for claim in principal["claims"]]
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        return []


def on_azure(environ: Mapping[str, str]) -> bool:
    """Return True inside App Service or Functions: https://learn.microsoft.com/azure/app-service/reference-app-settings."""
    return bool(environ.get("WEBSITE_SITE_NAME") or environ.get("WEBSITE_HOSTNAME"))
