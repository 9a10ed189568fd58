"""(now, what Graph lists, what we want) → what to do: every case."""

from datetime import timedelta

import pytest

from subscriptions.plan import (
    CLOCK_SKEW,
    LIFETIME,
    RENEW_BEFORE,
    RENEW_NOW,
    Create,
    Delete,
    Listed,
    Renew,
    Step,
    Wanted,
    remaining,
    steps,
    wanted,
)
from tests.fakes.values import CLIENT_STATE, MAILBOX, NOON, OLD_CLIENT_STATE, OTHER_MAILBOX

WANT = wanted(MAILBOX, "https://app.example", CLIENT_STATE)
CREATE = Create(wanted=WANT, expires_at=NOON + LIFETIME)


def listed(
    subscription_id: str = "s1",
    *,
    of: Wanted = WANT,
    left: timedelta = LIFETIME,
    change_type: str = "created",
    resource: str | None = None,
    notification_url: str | None = None,
    lifecycle_url: str | None = "as wanted",
) -> Listed:
    return Listed(
        id=subscription_id,
        resource=resource or of.resource,
        change_type=change_type,
        notification_url=notification_url or of.notification_url,
        lifecycle_url=of.lifecycle_url if lifecycle_url == "as wanted" else lifecycle_url,
        expires_at=NOON + left,
    )


def plan(*ones: Listed, renew_before: timedelta = RENEW_BEFORE) -> list[Step]:
    return list(steps(NOON, ones, WANT, renew_before=renew_before))


def test_nothing_to_do_is_the_normal_case() -> None:
    assert plan(listed()) == []


def test_none_is_created() -> None:
    assert plan() == [CREATE]


def test_one_is_renewed_long_before_it_ends() -> None:
    assert plan(listed(left=RENEW_BEFORE)) == []
    due = listed(left=RENEW_BEFORE - timedelta(seconds=1))
    assert plan(due) == [Renew(subscription_id="s1", expires_at=NOON + LIFETIME)]


def test_one_is_renewed_early_where_that_is_asked_for() -> None:
    assert plan(listed(), renew_before=RENEW_NOW) == [Renew(subscription_id="s1", expires_at=NOON + LIFETIME)]


def test_an_expired_one_is_replaced() -> None:
    assert plan(listed(left=timedelta(0))) == [CREATE, Delete(subscription_id="s1")]


def test_of_duplicates_the_one_that_lives_longest_stays() -> None:
    ones = [listed("short", left=LIFETIME / 2), listed("long"), listed("shorter", left=LIFETIME / 3)]
    assert plan(*ones) == [Delete(subscription_id="short"), Delete(subscription_id="shorter")]


@pytest.mark.parametrize(
    "wrong",
    [
        listed(notification_url="https://old.example/api/graph/notifications"),
        listed(lifecycle_url="https://old.example/api/graph/lifecycle"),
        listed(lifecycle_url=None),  # can't be added later
        listed(change_type="created,updated"),
        listed(of=wanted(MAILBOX, "https://app.example", OLD_CLIENT_STATE)),  # the secret was rotated
    ],
    ids=["url", "lifecycle url", "no lifecycle url", "change type", "client state"],
)
def test_a_wrong_one_goes_after_the_right_one_has_come(wrong: Listed) -> None:
    assert plan(wrong) == [CREATE, Delete(subscription_id="s1")]


def test_a_wrong_one_beside_a_right_one_goes() -> None:
    assert plan(listed("right"), listed("wrong", lifecycle_url=None)) == [Delete(subscription_id="wrong")]


@pytest.mark.parametrize(
    "resource",
    [
        f"users/{OTHER_MAILBOX}/mailFolders('inbox')/messages",
        f"users/{MAILBOX}/mailFolders('archive')/messages",
        f"users/{MAILBOX}/events",
    ],
)
def test_subscriptions_on_other_resources_belong_to_other_programs(resource: str) -> None:
    foreign = wanted(OTHER_MAILBOX, "https://app.example", CLIENT_STATE)
    assert plan(listed("foreign", of=foreign, resource=resource)) == [CREATE]


@pytest.mark.parametrize(
    "resource",
    [
        f"/users/{MAILBOX}/mailFolders('inbox')/messages/",
        f"Users/{MAILBOX.upper()}/MailFolders/Inbox/Messages",
        f"users('{MAILBOX}')/mailFolders('Inbox')/messages",
    ],
)
def test_graph_may_write_the_resource_otherwise(resource: str) -> None:
    assert plan(listed(resource=resource)) == []


def test_a_subscription_that_posts_to_us_is_ours_however_graph_names_the_user() -> None:
    by_object_id = "users/0d9a8b7c-1234-4567-89ab-0123456789ab/mailFolders('inbox')/messages"
    assert plan(listed(resource=by_object_id)) == []


def test_what_is_wanted_names_the_mailbox_and_hides_the_secret() -> None:
    assert WANT.notification_url.startswith("https://app.example/api/graph/notifications?mailbox=upload%40dms.example&")
    assert WANT.lifecycle_url.startswith("https://app.example/api/graph/lifecycle?mailbox=upload%40dms.example&")
    assert CLIENT_STATE not in repr(WANT)
    assert CLIENT_STATE not in WANT.notification_url + WANT.lifecycle_url


def test_the_lifetime_is_graphs_less_what_our_clock_may_be_ahead() -> None:
    assert timedelta(minutes=10_080) == LIFETIME + CLOCK_SKEW
    assert timedelta(minutes=5) < CLOCK_SKEW
    assert LIFETIME / 2 == RENEW_BEFORE


def test_what_remains_is_that_of_the_one_that_fits_and_lives_longest() -> None:
    ones = [listed(left=timedelta(hours=1)), listed("s2", left=timedelta(hours=3)), listed("s3", lifecycle_url=None)]
    assert remaining(NOON, ones, WANT) == timedelta(hours=3)
    assert remaining(NOON, [listed("s3", lifecycle_url=None)], WANT) == timedelta()
    assert remaining(NOON, [listed(left=-timedelta(hours=1))], WANT) == timedelta()
