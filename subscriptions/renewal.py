"""The plan, carried out: one live subscription per mailbox, and an answer to every lifecycle event."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from ingest import log
from ingest.errors import GraphRefused, NotFound
from subscriptions.plan import RENEW_BEFORE, RENEW_NOW, Create, Delete, Listed, Renew, Step, Wanted, steps

# A cold start can cost Graph's handshake; a moment later the app is warm.
HANDSHAKE_WAITS = (1.0, 3.0, 8.0)  # seconds
CONFLICT_ROUNDS = 2  # the first round removes the cause of the conflict


class SubscriptionCalls(Protocol):
    """Graph's subscriptions."""

    def list(self) -> list[Listed]:
        """Return all subscriptions of this app."""

    def create(self, step: Create) -> str:
        """Create a subscription; return its id."""

    def renew(self, step: Renew) -> None:
        """Renew a subscription. Raises NotFound."""

    def delete(self, subscription_id: str) -> None:
        """Delete a subscription. One that is gone is done."""


class Renewal:
    """The renewal of the wanted mailboxes' subscriptions."""

    def __init__(self, calls: SubscriptionCalls, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._calls = calls
        self._sleep = sleep

    def ensure(self, want: Wanted) -> Sequence[Step]:
        """Lead to exactly one live subscription for a mailbox; return the steps done. Raises Later, GraphRefused."""
        return self._carry_out_all(want, RENEW_BEFORE)

    def reauthorize(self, want: Wanted) -> Sequence[Step]:
        """Do as `ensure`, and renew a subscription that is not due yet.

        A renewal gives the subscription a fresh access token, which answers `reauthorizationRequired`.
        """
        return self._carry_out_all(want, RENEW_NOW)

    def _carry_out_all(self, want: Wanted, renew_before: timedelta) -> Sequence[Step]:
        done: list[Step] = []
        for _ in range(CONFLICT_ROUNDS):
            plan = steps(datetime.now(UTC), self._calls.list(), want, renew_before=renew_before)
            done += plan
            conflicts = 0
            for step in plan:
                conflicts += not self._carry_out(step, want)
            if not conflicts:
                break
        return done

    def _carry_out(self, step: Step, want: Wanted) -> bool:
        """Carry out one step; return False where it met a conflict, which needs a new look at the list."""
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
                if refused.status == HTTPStatus.CONFLICT:
                    # Another instance was faster, or an old subscription is in the way: the list shows which.
                    log.warning("subscription.conflict", mailbox=step.wanted.mailbox, code=refused.code)
                    return False
                wait = next(waits, None)
                if refused.status != HTTPStatus.BAD_REQUEST or wait is None:
                    raise
                log.warning("subscription.handshake_failed", mailbox=step.wanted.mailbox, wait_seconds=wait)
                self._sleep(wait)
            else:
                log.info("subscription.created", mailbox=step.wanted.mailbox, subscription=subscription_id)
                return True
