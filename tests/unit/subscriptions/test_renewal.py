"""The plan carried out: one live subscription for a mailbox, from each state before."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import GraphRefused, GraphUnavailable
from subscriptions.plan import LIFETIME, Listed, Wanted, wanted
from subscriptions.renewal import HANDSHAKE_WAITS, Renewal
from tests.fakes.graph_endpoint import FakeTime
from tests.fakes.subscriptions import CONFLICT, HANDSHAKE_FAILED, FakeSubscriptions
from tests.fakes.values import CLIENT_STATE, MAILBOX, OLD_CLIENT_STATE

WANT = wanted(MAILBOX, "https://app.example", CLIENT_STATE)
ROTATED = wanted(MAILBOX, "https://app.example", OLD_CLIENT_STATE)


def listed(subscription_id: str, left: timedelta = LIFETIME, of: Wanted = WANT) -> Listed:
    return Listed(
        id=subscription_id,
        resource=of.resource,
        change_type="created",
        notification_url=of.notification_url,
        lifecycle_url=of.lifecycle_url,
        expires_at=datetime.now(UTC) + left,
    )


def ensure(calls: FakeSubscriptions) -> FakeTime:
    time = FakeTime()
    Renewal(calls, sleep=time.sleep).ensure(WANT)
    return time


def test_the_first_is_created_with_our_secret() -> None:
    calls = FakeSubscriptions()
    ensure(calls)
    assert calls.secrets == {"new-1": CLIENT_STATE}


def test_a_second_run_changes_nothing() -> None:
    calls = FakeSubscriptions()
    ensure(calls)
    ensure(calls)
    assert list(calls.live) == ["new-1"]
    assert calls.renewed == []


def test_one_that_ends_soon_is_renewed() -> None:
    calls = FakeSubscriptions(listed("s1", timedelta(hours=1)))
    ensure(calls)
    assert calls.renewed == ["s1"]
    assert calls.live["s1"].expires_at > datetime.now(UTC) + LIFETIME - timedelta(hours=1)


def test_reauthorization_renews_one_that_is_not_due() -> None:
    calls = FakeSubscriptions(listed("s1"))
    Renewal(calls).reauthorize(WANT)
    assert calls.renewed == ["s1"]


def test_one_that_is_gone_when_it_is_renewed_is_created_anew() -> None:
    class Vanishing(FakeSubscriptions):
        def list(self) -> list[Listed]:
            found = super().list()
            self.live.clear()
            return found

    calls = Vanishing(listed("s1", timedelta(hours=1)))
    ensure(calls)
    assert list(calls.live) == ["new-1"]


def test_duplicates_and_expired_ones_go() -> None:
    calls = FakeSubscriptions(listed("a", LIFETIME * 0.9), listed("b"), listed("c", timedelta(hours=-1)))
    ensure(calls)
    assert list(calls.live) == ["b"]


def test_after_a_rotation_of_the_secret_the_old_one_is_replaced() -> None:
    calls = FakeSubscriptions(listed("old", of=ROTATED))
    ensure(calls)
    assert calls.secrets == {"new-1": CLIENT_STATE}
    assert list(calls.live) == ["new-1"]


def test_an_old_one_that_is_in_the_way_goes_and_a_second_round_creates() -> None:
    calls = FakeSubscriptions(listed("old", of=ROTATED), conflicts=True)
    ensure(calls)
    assert list(calls.live) == ["new-1"]
    assert calls.lists == 2


def test_a_second_creator_takes_the_subscription_of_the_first() -> None:
    class Beaten(FakeSubscriptions):
        def list(self) -> list[Listed]:
            if self.lists == 1:
                self.live["theirs"] = listed("theirs")
            return super().list()

    calls = Beaten()
    calls.trouble = [CONFLICT]
    ensure(calls)
    assert list(calls.live) == ["theirs"]


def test_a_conflict_that_stays_ends() -> None:
    calls = FakeSubscriptions()
    calls.trouble = [CONFLICT] * 9
    ensure(calls)
    assert calls.lists == 2


def test_a_cold_start_may_cost_a_handshake_or_two() -> None:
    calls = FakeSubscriptions()
    calls.trouble = [HANDSHAKE_FAILED, HANDSHAKE_FAILED]
    time = ensure(calls)
    assert list(calls.live) == ["new-1"]
    assert time.slept == list(HANDSHAKE_WAITS[:2])


def test_a_handshake_that_never_works_is_raised() -> None:
    calls = FakeSubscriptions()
    calls.trouble = [HANDSHAKE_FAILED] * 9
    with pytest.raises(GraphRefused, match="400 ValidationError"):
        ensure(calls)
    assert len(calls.trouble) == 9 - len(HANDSHAKE_WAITS) - 1


@pytest.mark.parametrize(
    "trouble", [GraphRefused("create_subscription", 422, "Unprocessable"), GraphUnavailable("down")]
)
def test_other_trouble_is_not_tried_again_here(trouble: Exception) -> None:
    calls = FakeSubscriptions()
    calls.trouble = [trouble]
    with pytest.raises(type(trouble)):
        ensure(calls)
    assert calls.trouble == []
