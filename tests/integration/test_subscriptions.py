"""The timer of a running host replaces a subscription without a lifecycle URL, and renews one at half of its life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ingest import wiring
from ingest.settings import Settings
from local.graph.admin.client import SubscriptionState
from local.stack import Stack
from subscriptions.calls import Subscriptions
from subscriptions.plan import LIFETIME, Create, Wanted, wanted_by

pytestmark = pytest.mark.shares("stack")


@pytest.fixture
def app(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.App]:
    """The app in this process, beside the host; there is no subscription."""
    environment = stack.operator_environment()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", environment["REQUESTS_CA_BUNDLE"])
    app = wiring.build(Settings.from_env(environment))
    for subscription in stack.admin.subscriptions():
        stack.admin.remove_subscription(subscription.id)
    yield app
    app.close()
    stack.subscribe()


def wanted(app: wiring.App) -> Wanted:
    return wanted_by(app.settings, app.settings.mailboxes[0])


def the_one(stack: Stack) -> SubscriptionState | None:
    found = stack.admin.subscriptions()
    return found[0] if len(found) == 1 else None


def test_one_without_a_lifecycle_url_makes_room_and_mails_are_announced_again(stack: Stack, app: wiring.App) -> None:
    want = wanted(app)
    old = {
        "changeType": "created",
        "resource": want.resource,
        "notificationUrl": want.notification_url,
        "expirationDateTime": f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}",
        "clientState": want.client_state,
    }
    before = app.graph.request("create_subscription", "POST", "/subscriptions", body=old).body["id"]

    stack.maintain()  # Graph answers 409 to a second one until the first is gone

    def right() -> SubscriptionState | None:
        found = the_one(stack)
        return found if found is not None and found.lifecycle_url == want.lifecycle_url else None

    assert stack.admin.wait_for(right, what="a subscription with a lifecycle URL").id != before
    mail = b"From: a@supplier.example\r\nTo: nobody@dms.cloud\r\nSubject: announced\r\n\r\ntext\r\n"
    (message,) = stack.admin.deliver(mail, [stack.identity.mailboxes[0]])
    stack.wait_for_end(message.id, "Quarantine")


def test_one_is_renewed_when_half_of_its_life_is_over(stack: Stack, app: wiring.App) -> None:
    end = datetime.now(UTC) + LIFETIME / 2 - timedelta(minutes=1)
    before = Subscriptions(app.graph).create(Create(wanted=wanted(app), expires_at=end))
    stack.maintain()

    def renewed() -> SubscriptionState | None:
        found = the_one(stack)
        return found if found is not None and found.expires > end + timedelta(days=3) else None

    assert stack.admin.wait_for(renewed, what="the renewal").id == before
