"""Graph's JSON of subscriptions, both ways."""

from datetime import UTC, datetime

import pytest

from ingest.errors import NotFound
from subscriptions.calls import Subscriptions
from subscriptions.plan import Create, Listed, Renew, wanted
from tests.fakes.graph_endpoint import BASE_URL, Answer, error, graph
from tests.fakes.values import CLIENT_STATE, MAILBOX, NOON

WANT = wanted(MAILBOX, "https://app.example", CLIENT_STATE)
ITEM = {
    "id": "s1",
    "resource": WANT.resource,
    "changeType": "created",
    "notificationUrl": WANT.notification_url,
    "lifecycleNotificationUrl": WANT.lifecycle_url,
    "expirationDateTime": "2026-03-01T12:00:00.1234567Z",
    "clientState": None,
}


def test_all_pages_are_listed() -> None:
    one = graph(
        Answer(content={"value": [ITEM], "@odata.nextLink": f"{BASE_URL}/subscriptions?$skiptoken=x"}),
        Answer(content={"value": [ITEM | {"id": "s2", "lifecycleNotificationUrl": None}]}),
    )
    found = Subscriptions(one.client).list()
    assert [(item.id, item.lifecycle_url) for item in found] == [("s1", WANT.lifecycle_url), ("s2", None)]
    assert found[0] == Listed(
        id="s1",
        resource=WANT.resource,
        change_type="created",
        notification_url=WANT.notification_url,
        lifecycle_url=WANT.lifecycle_url,
        expires_at=datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
    )


def test_a_subscription_is_created_with_everything_that_can_not_be_added_later() -> None:
    one = graph(Answer(status=201, content=ITEM))
    assert Subscriptions(one.client).create(Create(wanted=WANT, expires_at=NOON)) == "s1"
    (request,) = one.requests
    assert (request.method, request.path) == ("POST", "/subscriptions")
    assert request.headers["Prefer"] == 'IdType="ImmutableId"'
    assert request.body == {
        "changeType": "created",
        "resource": "users/upload@dms.example/mailFolders('inbox')/messages",
        "notificationUrl": WANT.notification_url,
        "lifecycleNotificationUrl": WANT.lifecycle_url,
        "expirationDateTime": "2026-03-01T12:00:00Z",
        "clientState": CLIENT_STATE,
    }


def test_renewing_moves_the_end() -> None:
    one = graph(Answer(content=ITEM))
    Subscriptions(one.client).renew(Renew(subscription_id="s/1", expires_at=NOON))
    assert one.calls == [("PATCH", "/subscriptions/s%2F1")]
    assert one.requests[0].body == {"expirationDateTime": "2026-03-01T12:00:00Z"}


def test_one_that_is_gone_can_not_be_renewed_but_is_deleted() -> None:
    with pytest.raises(NotFound):
        Subscriptions(graph(error(404)).client).renew(Renew(subscription_id="s1", expires_at=NOON))
    Subscriptions(graph(error(404)).client).delete("s1")
    one = graph(Answer(status=204))
    Subscriptions(one.client).delete("s1")
    assert one.calls == [("DELETE", "/subscriptions/s1")]


def test_an_odd_item_hides_no_subscription(caplog: pytest.LogCaptureFixture) -> None:
    items = [{}, None, ITEM | {"expirationDateTime": None}, {"error": {"code": "x"}}, ITEM]
    one = graph(Answer(content={"value": items}))
    assert [item.id for item in Subscriptions(one.client).list()] == ["s1"]
    assert 'graph.odd_items operation="list_subscriptions" skipped=4' in caplog.text
