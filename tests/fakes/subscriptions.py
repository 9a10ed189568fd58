"""Graph's subscriptions in memory."""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import GraphRefused, NotFound
from subscriptions.plan import CHANGE_TYPE, Create, Listed, Renew

HANDSHAKE_FAILED = GraphRefused("create_subscription", 400, "ValidationError")
CONFLICT = GraphRefused("create_subscription", 409, "ObjectExists")


class FakeSubscriptions:
    """The subscription calls. `trouble`: what the next creations raise; `conflicts`: refuse a second of its kind."""

    def __init__(self, *ones: Listed, conflicts: bool = False) -> None:
        self.live = {one.id: one for one in ones}
        self.trouble: list[Exception] = []
        self.renewed: list[str] = []
        self.secrets: dict[str, str] = {}
        self.lists = 0
        self._conflicts = conflicts

    def list(self) -> list[Listed]:
        self.lists += 1
        return list(self.live.values())

    def create(self, step: Create) -> str:
        if self.trouble:
            raise self.trouble.pop(0)
        if self._conflicts and any(one.resource == step.wanted.resource for one in self.live.values()):
            raise CONFLICT
        one = Listed(
            id=f"new-{len(self.secrets) + 1}",
            resource=step.wanted.resource,
            change_type=CHANGE_TYPE,
            notification_url=step.wanted.notification_url,
            lifecycle_url=step.wanted.lifecycle_url,
            expires_at=step.expires_at,
        )
        self.live[one.id] = one
        self.secrets[one.id] = step.wanted.client_state
        return one.id

    def renew(self, step: Renew) -> None:
        if step.subscription_id not in self.live:
            raise NotFound("renew_subscription: Graph answered 404")
        self.renewed.append(step.subscription_id)
        self.live[step.subscription_id] = replace(self.live[step.subscription_id], expires_at=step.expires_at)

    def delete(self, subscription_id: str) -> None:
        self.live.pop(subscription_id, None)
