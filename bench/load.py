"""The rows on load: a new mail while hosts work on a backlog, and another tenant's mail while one tenant floods."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from bench.mails import samples, silently
from bench.ours import left_in_inboxes, one_by_webhook, wait_until_empty
from local.stack import Stack
from local.tenants import LocalTenant

BUDGET = 50  # mails an hour of each tenant: the flood is far beyond it, and nothing else reaches it
SETTINGS: Mapping[str, str] = {"INGEST_TENANT_BUDGET": str(BUDGET)}
HOSTS = 2  # on Azure, each queue's function has instances of its own
_SINGLES = 7
_PATIENCE = 600.0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Milliseconds from the delivery of single mails until they are stored and deleted, in three situations."""

    backlog: int
    flood: int
    idle: list[float]
    during_backlog: list[float]
    during_flood: list[float]


def measure(stack: Stack, mails: int) -> Loaded:
    """Measure single mails: idle, beside a backlog of `mails`, and beside the turns of a flood of as many.

    The flood has its turns once its mails wait: up to its budget, a flood is new mail like any other.
    """
    other, backlog, flood = (stack.add_tenant(name) for name in ("Other", "Backlog", "Flood"))
    _singles(stack, other, "warm")
    idle = _singles(stack, other, "idle")
    with silently(stack.admin):
        _series(stack, backlog, "backlog", mails)
    during_backlog = _beside(stack, other, "backlog", mails)
    _series(stack, flood, "flood", mails)
    stack.admin.wait_for(lambda: left_in_inboxes(stack) == _waiting(stack), timeout=_PATIENCE, what="the flood to wait")
    during_flood = _beside(stack, other, "flood", mails)
    return Loaded(backlog=mails, flood=mails, idle=idle, during_backlog=during_backlog, during_flood=during_flood)


def median_ratio(loaded: Loaded) -> float:
    """Return the median of another tenant's mails beside a flood, as a multiple of the idle median."""
    return statistics.median(loaded.during_flood) / statistics.median(loaded.idle)


def _beside(stack: Stack, tenant: LocalTenant, label: str, mails: int) -> list[float]:
    """Let the sweep bring back what is left, measure while hosts work on it, and wait for the end."""
    stack.maintain()
    before = left_in_inboxes(stack)
    stack.admin.wait_for(lambda: left_in_inboxes(stack) < before, timeout=_PATIENCE, what="the work on the rest")
    times = _singles(stack, tenant, label)
    if left_in_inboxes(stack) < _SINGLES:
        raise RuntimeError(f"{mails} mails are too few: the hosts were done before the single mails were")
    wait_until_empty(stack, patience=_PATIENCE)
    return times


def _singles(stack: Stack, tenant: LocalTenant, label: str) -> list[float]:
    mailbox = stack.identity.mailboxes[0]
    return [one_by_webhook(stack, mailbox, mail) for mail in samples(_SINGLES, address=tenant.address, label=label)]


def _waiting(stack: Stack) -> int:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        row = owner.execute(
            "select count(*) from ingest.claim where state = 'waiting' and waits_since is not null"
        ).fetchone()
    return int(row[0]) if row else 0


def _series(stack: Stack, tenant: LocalTenant, label: str, mails: int) -> None:
    [template] = samples(1, address=tenant.address, label=f"{label}-{{number}}", pdf_bytes=10_000)
    stack.admin.deliver_series(template.raw, list(stack.identity.mailboxes[:1]), count=mails)
