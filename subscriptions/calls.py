"""The subscription calls: Graph's JSON in, the app's values out.

https://learn.microsoft.com/graph/api/resources/subscription
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ingest.errors import NotFound
from ingest.graph.client import GraphClient
from ingest.graph.listings import id_of, next_link, read_items
from subscriptions.plan import CHANGE_TYPE, Create, Listed, Renew


class Subscriptions:
    """The app's subscriptions. Every call raises Later or GraphRefused as `GraphClient.request` does."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    def list(self) -> list[Listed]:
        """Return all subscriptions of this app, of every mailbox."""
        found: list[Listed] = []
        link: str | None = "/subscriptions"
        while link:
            page = self._graph.request("list_subscriptions", "GET", link).body
            found += read_items("list_subscriptions", page, _listed, mailbox=None)
            link = next_link(page)
        return found

    def create(self, step: Create) -> str:
        """Create a subscription; return its id. Graph shakes hands with both URLs before it answers.

        The Prefer header that the client sends on every request makes notifications carry immutable ids.
        """
        answer = self._graph.request(
            "create_subscription",
            "POST",
            "/subscriptions",
            body={
                "changeType": CHANGE_TYPE,
                "resource": step.wanted.resource,
                "notificationUrl": step.wanted.notification_url,
                "lifecycleNotificationUrl": step.wanted.lifecycle_url,
                "expirationDateTime": _text(step.expires_at),
                "clientState": step.wanted.client_state,
            },
        )
        return str(answer.body.get("id"))

    def renew(self, step: Renew) -> None:
        """Renew a subscription, which also gives it a fresh access token. Raises NotFound."""
        self._graph.request(
            "renew_subscription",
            "PATCH",
            f"/subscriptions/{quote(step.subscription_id, safe='')}",
            body={"expirationDateTime": _text(step.expires_at)},
        )

    def delete(self, subscription_id: str) -> None:
        """Delete a subscription. One that is gone is done."""
        try:
            self._graph.request("delete_subscription", "DELETE", f"/subscriptions/{quote(subscription_id, safe='')}")
        except NotFound:
            return


def _listed(item: Mapping[str, Any]) -> Listed:
    return Listed(
        id=id_of(item),
        resource=str(item.get("resource") or ""),
        change_type=str(item.get("changeType") or ""),
        notification_url=str(item.get("notificationUrl") or ""),
        lifecycle_url=item.get("lifecycleNotificationUrl"),
        expires_at=datetime.fromisoformat(item["expirationDateTime"]).astimezone(UTC),
    )


def _text(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
