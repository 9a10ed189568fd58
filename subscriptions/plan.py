"""(now, listed subscriptions, wanted subscription) → steps. Pure, so that every case is a test of plain values."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from ingest.settings import Settings

# Graph allows messages 10,080 minutes by its own clock, and refuses a later end; ours may be ahead by some minutes.
# A renewal that is due after half of the time leaves three days and a half in which everything may fail.
# https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime
CLOCK_SKEW = timedelta(minutes=10)
LIFETIME = timedelta(minutes=10_080) - CLOCK_SKEW
RENEW_BEFORE = LIFETIME / 2
RENEW_NOW = timedelta.max
CHANGE_TYPE = "created"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The one subscription that a mailbox should have."""

    mailbox: str
    resource: str
    notification_url: str
    lifecycle_url: str
    client_state: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A subscription as Graph lists it. Its clientState is never shown."""

    id: str
    resource: str
    change_type: str
    notification_url: str
    lifecycle_url: str | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Create:
    """The step for a mailbox without a subscription that fits."""

    wanted: Wanted
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Renew:
    """The step for a subscription that ends soon."""

    subscription_id: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete:
    """The step for a subscription that is wrong, or one too many."""

    subscription_id: str


type Step = Create | Renew | Delete


def wanted(mailbox: str, base_url: str, client_state: str) -> Wanted:
    """Return the wanted subscription of a mailbox's inbox, which posts to the app at `base_url`.

    The URLs name the mailbox, and the secret by a fingerprint that reveals nothing of it: as Graph never shows a
    subscription's clientState, this is how one with an old secret is recognised after a rotation.
    """
    fingerprint = hmac.new(client_state.encode(), b"graph subscription", hashlib.sha256).hexdigest()[:8]
    query = f"?mailbox={quote(mailbox, safe='')}&state={fingerprint}"
    return Wanted(
        mailbox=mailbox,
        resource=f"users/{mailbox}/mailFolders('inbox')/messages",
        notification_url=f"{base_url}/api/graph/notifications{query}",
        lifecycle_url=f"{base_url}/api/graph/lifecycle{query}",
        client_state=client_state,
    )


def wanted_by(settings: Settings, mailbox: str) -> Wanted:
    """Return the wanted subscription of one of the settings' mailboxes, with the newest secret."""
    return wanted(mailbox, settings.notification_url, settings.client_states[0])


def steps(
    now: datetime, listed: Iterable[Listed], want: Wanted, *, renew_before: timedelta = RENEW_BEFORE
) -> Sequence[Step]:
    """Return the steps that lead to exactly one live subscription; normally there are none.

    `renew_before`: a subscription with less time left is renewed. A new one is created before wrong ones are deleted,
    so that no mail falls between them. Subscriptions on other resources belong to other programs.
    """
    ours = [one for one in listed if _is_ours(one, want)]
    good = sorted((one for one in ours if _fits(one, want) and one.expires_at > now), key=lambda one: one.expires_at)
    keep = good[-1] if good else None
    todo: list[Step] = []
    if keep is None:
        todo.append(Create(wanted=want, expires_at=now + LIFETIME))
    elif keep.expires_at - now < renew_before:
        todo.append(Renew(subscription_id=keep.id, expires_at=now + LIFETIME))
    todo += [Delete(subscription_id=one.id) for one in ours if one is not keep]
    return todo


def remaining(now: datetime, listed: Iterable[Listed], want: Wanted) -> timedelta:
    """Return the time until the mailbox's subscription ends; zero where there is none that fits."""
    ends = [one.expires_at - now for one in listed if _is_ours(one, want) and _fits(one, want)]
    return max([timedelta(), *ends])


def _fits(one: Listed, want: Wanted) -> bool:
    return (
        one.change_type == CHANGE_TYPE
        and one.notification_url == want.notification_url
        and one.lifecycle_url == want.lifecycle_url
    )


def _is_ours(one: Listed, want: Wanted) -> bool:
    """Compare by resource or by URL: Graph may name the user in the resource by an id unknown to the app."""
    return _plain(one.resource) == _plain(want.resource) or one.notification_url == want.notification_url


def _plain(resource: str) -> str:
    """Normalise a resource: Graph returns it in other case and with another notation of keys."""
    return resource.strip("/").lower().replace("('", "/").replace("')", "")
