"""The care of the mailboxes: trouble of one never stops another, and every lifecycle event has its answer."""

import threading
from collections.abc import Mapping, Sequence

import pytest

from ingest.errors import GraphUnavailable
from ingest.model.message_ref import MessageRef
from subscriptions.maintenance import Maintenance
from subscriptions.notifications import LifecycleEvent, SubscriptionEvent
from subscriptions.plan import Listed, wanted
from subscriptions.renewal import Renewal
from tests.fakes.subscriptions import FakeSubscriptions
from tests.fakes.values import CLIENT_STATE, MAILBOX, OTHER_MAILBOX, ref

URL = "https://app.example"
FIRST = [ref("first-1"), ref("first-2"), ref("first-3")]
SECOND = [ref("second-1", OTHER_MAILBOX)]


class FakeSweep:
    """Returns what each mailbox has, once, or raises its trouble. `swept`: the mailboxes in the order of the calls."""

    def __init__(self, left: Mapping[str, Sequence[MessageRef] | Exception]) -> None:
        self.left = dict(left)
        self.swept: list[str] = []
        self.begun = threading.Event()

    def sweep(self, mailbox: str) -> list[MessageRef]:
        self.begun.set()
        self.swept.append(mailbox)
        left = self.left[mailbox]
        if isinstance(left, Exception):
            raise left
        self.left[mailbox] = []  # on their way
        return list(left)


class SweepTogether(FakeSweep):
    """Lets a sweep end only when the sweeps of all mailboxes have begun."""

    def __init__(self, left: Mapping[str, Sequence[MessageRef] | Exception]) -> None:
        super().__init__(left)
        self._all_begun = threading.Barrier(len(left), timeout=60)

    def sweep(self, mailbox: str) -> list[MessageRef]:
        self._all_begun.wait()
        return super().sweep(mailbox)


class ListedDuring(FakeSubscriptions):
    """Answers with the list of subscriptions once a sweep has begun."""

    def __init__(self, sweep: FakeSweep) -> None:
        super().__init__()
        self._sweep = sweep

    def list(self) -> list[Listed]:
        if not self._sweep.begun.wait(timeout=60):
            raise TimeoutError
        return super().list()


class Care:
    """A maintenance of two mailboxes with all that it works on."""

    def __init__(
        self,
        left: Mapping[str, Sequence[MessageRef] | Exception] | None = None,
        *,
        calls: FakeSubscriptions | None = None,
        sweep: FakeSweep | None = None,
    ) -> None:
        self.calls = calls or FakeSubscriptions()
        self.sweep = sweep or FakeSweep(left or {MAILBOX: FIRST, OTHER_MAILBOX: SECOND})
        mailboxes = [wanted(mailbox, URL, CLIENT_STATE) for mailbox in (MAILBOX, OTHER_MAILBOX)]
        self.maintenance = Maintenance(mailboxes=mailboxes, renewal=Renewal(self.calls), sweep=self.sweep)

    def answer(self, event: LifecycleEvent, mailbox: str = MAILBOX) -> list[MessageRef]:
        return self.maintenance.answer(SubscriptionEvent(mailbox=mailbox, subscription_id="s1", event=event))


def test_every_mailbox_gets_its_subscription_and_its_sweep() -> None:
    care = Care()
    care.maintenance.maintain()
    assert {one.resource for one in care.calls.live.values()} == {
        wanted(mailbox, URL, CLIENT_STATE).resource for mailbox in (MAILBOX, OTHER_MAILBOX)
    }
    assert set(care.sweep.swept) == {MAILBOX, OTHER_MAILBOX}


def test_the_inbox_is_listed_while_graph_answers_for_the_subscription() -> None:
    sweep = FakeSweep({MAILBOX: FIRST, OTHER_MAILBOX: SECOND})
    care = Care(calls=ListedDuring(sweep), sweep=sweep)
    assert len(care.maintenance.maintain()) == len(FIRST) + len(SECOND)
    assert len(care.calls.live) == len(care.sweep.left)


def test_a_mail_that_came_before_the_subscription_changed_is_found_by_another_sweep() -> None:
    care = Care()
    care.maintenance.maintain()  # creates the subscriptions
    assert sorted(care.sweep.swept) == sorted(2 * [MAILBOX, OTHER_MAILBOX])
    care.sweep.swept.clear()
    care.maintenance.maintain()
    assert sorted(care.sweep.swept) == sorted([MAILBOX, OTHER_MAILBOX])


def test_a_mailbox_that_waits_for_graph_delays_no_other() -> None:
    care = Care(sweep=SweepTogether({MAILBOX: FIRST, OTHER_MAILBOX: SECOND}))
    assert len(care.maintenance.maintain()) == len(FIRST) + len(SECOND)


def test_mailboxes_take_turns_in_what_is_enqueued() -> None:
    assert Care().maintenance.maintain() == [FIRST[0], SECOND[0], FIRST[1], FIRST[2]]


@pytest.mark.parametrize("trouble", [GraphUnavailable("down"), ValueError("leaked")])
def test_a_sweep_that_fails_stops_no_other_mailbox(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    care = Care({MAILBOX: trouble, OTHER_MAILBOX: SECOND})
    assert care.maintenance.maintain() == SECOND
    assert "sweep.failed" in caplog.text
    assert "leaked" not in caplog.text


@pytest.mark.parametrize("trouble", [GraphUnavailable("down"), ValueError("leaked")])
def test_a_renewal_that_fails_stops_no_sweep(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    care = Care()
    care.calls.trouble = [trouble]
    assert len(care.maintenance.maintain()) == len(FIRST) + len(SECOND)
    assert caplog.text.count("subscription.failed") == 1
    assert "leaked" not in caplog.text


def test_reauthorization_renews_at_once_and_sweeps_nothing() -> None:
    care = Care()
    care.answer(LifecycleEvent.MISSED)
    care.sweep.swept.clear()
    assert care.answer(LifecycleEvent.REAUTHORIZATION_REQUIRED) == []
    assert (care.calls.renewed, care.sweep.swept) == (["new-1"], [])


@pytest.mark.parametrize("event", [LifecycleEvent.SUBSCRIPTION_REMOVED, LifecycleEvent.MISSED, LifecycleEvent.UNKNOWN])
def test_any_other_event_leads_to_a_live_subscription_and_a_sweep(event: LifecycleEvent) -> None:
    care = Care()
    assert care.answer(event) == FIRST
    assert list(care.calls.live) == ["new-1"]


def test_an_event_of_a_mailbox_that_is_no_longer_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    care = Care()
    assert care.answer(LifecycleEvent.MISSED, "former@dms.example") == []
    assert care.calls.lists == 0
    assert "subscription.unknown_mailbox" in caplog.text


def test_an_event_that_has_no_answer_now_is_raised_to_the_queue() -> None:
    care = Care()
    care.calls.trouble = [GraphUnavailable("down")]
    with pytest.raises(GraphUnavailable):
        care.answer(LifecycleEvent.MISSED)
