"""Carries the plan out: one live subscription per mailbox, and an answer to every lifecycle event."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from ingest import log
from ingest.errors import GraphRefused, NotFound
from subscriptions.plan import Create, Delete, Listed, Renew, Step, Wanted, steps

# A cold start can cost Graph's handshake; a moment later the app is warm.
HANDSHAKE_WAITS = (1.0, 3.0, 8.0)  # seconds
CONFLICT_ROUNDS = 2  # the first takes away what the second would meet again
_BAD_REQUEST = 400
_CONFLICT = 409


class SubscriptionCalls(Protocol):
    """Graph's subscriptions."""

    def list(self) -> list[Listed]:
        """All of this app's."""

    def create(self, step: Create) -> str:
        """Returns the id."""

    def renew(self, step: Renew) -> None:
        """Raises NotFound."""

    def delete(self, subscription_id: str) -> None:
        """One that is gone is done."""


class Renewal:
    """Keeps the subscriptions of the wanted mailboxes alive."""

    def __init__(self, calls: SubscriptionCalls, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._calls = calls
        self._sleep = sleep

    def ensure(self, want: Wanted, *, renew_now: bool = False) -> Sequence[Step]:
        """Lead to exactly one live subscription for a mailbox; returns what was done.

        `renew_now` renews one that is not due yet, which also answers `reauthorizationRequired`: renewing gives
        the subscription a fresh token. Raises Later, GraphRefused.
        """
        done: list[Step] = []
        for _ in range(CONFLICT_ROUNDS):
            plan = steps(datetime.now(UTC), self._calls.list(), want, renew_now=renew_now)
            done += plan
            if all([self._carry_out(step, want) for step in plan]):  # noqa: C419 - each is to be carried out
                break
        return done

    def _carry_out(self, step: Step, want: Wanted) -> bool:
        """Returns whether the step went through; one that met a conflict wants a new look at the list."""
        match step:
            case Create():
                return self._create(step)
            case Renew():
                try:
                    self._calls.renew(step)
                except NotFound:
                    log.warning("subscription.gone", mailbox=want.mailbox, subscription=step.subscription_id)
                    return self._create(Create(wanted=want, expires_at=step.expires_at))
                log.info("subscription.renewed", mailbox=want.mailbox, subscription=step.subscription_id)
            case Delete():
                self._calls.delete(step.subscription_id)
                log.warning("subscription.deleted", mailbox=want.mailbox, subscription=step.subscription_id)
        return True

    def _create(self, step: Create) -> bool:
        waits = iter(HANDSHAKE_WAITS)
        while True:
            try:
                subscription_id = self._calls.create(step)
            except GraphRefused as refused:
                if refused.status == _CONFLICT:
                    # Somebody was faster, or an old one is in the way: the list tells which.
                    log.warning("subscription.conflict", mailbox=step.wanted.mailbox, code=refused.code)
                    return False
                wait = next(waits, None)
                if refused.status != _BAD_REQUEST or wait is None:
                    raise
                log.warning("subscription.handshake_failed", mailbox=step.wanted.mailbox, wait_seconds=wait)
                self._sleep(wait)
            else:
                log.info("subscription.created", mailbox=step.wanted.mailbox, subscription=subscription_id)
                return True
