"""The transfers of a message: a lease kept alive, bounded attempts, and one deadline for all its tenants."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from ingest.documents.budget import Lane, Pace
from ingest.errors import ContentInterrupted, Later, LeaseLost, Overdue, SlowTransfer
from ingest.graph import client, retry
from ingest.model.claim import Claim, ClaimState
from ingest.storage import blob_requests, database, gate
from ingest.suspects import TURN_SECONDS
from ingest.transfer import CONTENT_ATTEMPTS, MESSAGE_SECONDS, Transfer
from tests.fakes.records import FakeRecords
from tests.fakes.values import ref

ROOT = Path(__file__).parents[3]


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Begun:
    """A claimed message and its transfer."""

    def __init__(self, lease_seconds: float = 600) -> None:
        self.records = FakeRecords(lease_seconds=lease_seconds)
        claim = self.records.claim(ref())
        assert isinstance(claim, Claim)
        assert claim.state is ClaimState.PROCESSING
        self.clock = Clock()
        self.transfer = Transfer(claim, self.records, clock=self.clock)

    def renewals(self) -> int:
        return self.records.journal.steps.count("renew")


def test_the_lease_is_renewed_when_a_third_of_it_is_used_up() -> None:
    begun = Begun(lease_seconds=30)
    blocks = begun.transfer.while_owned([b"1", b"2", b"3", b"4"])
    for now in (0, 9, 11, 12):
        begun.clock.now = now
        next(blocks)
    assert begun.renewals() == 1


def test_a_lease_that_another_owner_has_ends_the_transfer() -> None:
    begun = Begun(lease_seconds=30)
    begun.records.steal(ref())
    begun.clock.now = 11
    with pytest.raises(LeaseLost):
        next(begun.transfer.while_owned([b"1"]))


def test_one_deadline_is_for_the_whole_message() -> None:
    begun = Begun(lease_seconds=10 * MESSAGE_SECONDS)
    begun.clock.now = MESSAGE_SECONDS - 1
    assert list(begun.transfer.while_owned([b"first tenant"])) == [b"first tenant"]
    begun.clock.now = MESSAGE_SECONDS + 1
    with pytest.raises(Later, match="not filed after"):
        list(begun.transfer.while_owned([b"second tenant"]))


def test_a_message_that_spent_its_time_on_transfers_is_put_off_and_counts_nothing() -> None:
    begun = Begun(lease_seconds=10 * MESSAGE_SECONDS)

    def download_slowly(blocks: Iterator[bytes]) -> None:
        begun.clock.now += MESSAGE_SECONDS / 2
        list(blocks)

    def upload_slowly(blocks: Iterator[bytes]) -> None:
        begun.clock.now += MESSAGE_SECONDS / 2 + 1
        list(blocks)

    begun.transfer.download("original", lambda: nullcontext(iter([b"1"])), download_slowly)
    with pytest.raises(SlowTransfer):
        begun.transfer.upload([b"1"], upload_slowly)


def test_a_message_that_spent_its_time_on_other_work_is_overdue() -> None:
    begun = Begun(lease_seconds=10 * MESSAGE_SECONDS)

    def upload_slowly(blocks: Iterator[bytes]) -> None:
        begun.clock.now += MESSAGE_SECONDS / 3
        list(blocks)

    begun.transfer.upload([b"1"], upload_slowly)
    begun.clock.now = MESSAGE_SECONDS + 1
    with pytest.raises(Overdue):
        begun.transfer.keep_alive()


def test_a_download_that_breaks_off_is_taken_anew_and_ends_after_bounded_attempts() -> None:
    begun = Begun()
    taken: list[int] = []

    @contextmanager
    def broken() -> Iterator[Iterator[bytes]]:
        yield iter([b"half"])

    def take(blocks: Iterator[bytes]) -> None:
        taken.append(len(list(blocks)))
        raise ContentInterrupted("broke off")

    with pytest.raises(ContentInterrupted):
        begun.transfer.download("original", broken, take)
    assert taken == [1] * CONTENT_ATTEMPTS


def test_a_costly_message_rests_before_an_upload_and_never_between_two_blocks() -> None:
    begun, steps = Begun(), list[str]()

    class CostlyPace(Pace):
        def rest(self, meanwhile: Callable[[], None], *, read: float = 0.0) -> None:  # noqa: ARG002 - counts nowhere here
            steps.append("rest")
            meanwhile()

    begun.transfer.pace = CostlyPace(Lane())

    def put(blocks: Iterator[bytes]) -> None:
        steps.extend("block" for _ in blocks)

    begun.transfer.upload([b"a", b"b"], put)
    assert steps == ["rest", "block", "block"]


def test_the_deadline_is_looked_at_after_an_upload_too() -> None:
    """The last request of an upload has its attempts: what follows must not begin minutes after the deadline."""
    begun = Begun(lease_seconds=10 * MESSAGE_SECONDS)

    def upload_slowly(blocks: Iterator[bytes]) -> None:
        list(blocks)
        begun.clock.now = MESSAGE_SECONDS + 1

    with pytest.raises(SlowTransfer):
        begun.transfer.upload([b"1"], upload_slowly)


def test_a_message_ends_before_the_host_ends_the_process() -> None:
    """Where one function outlasts its time, the process dies with all mails in work, and the cloud was slow only."""
    at_graph = (
        gate.WAIT_SECONDS
        + retry.TOTAL_SECONDS
        + (client.CONNECT_SECONDS + client.READ_SECONDS)  # an attempt that begins in the last moment
    )
    at_blob = blob_requests.RETRIES * blob_requests.MAX_RETRY_AFTER + (blob_requests.RETRIES + 1) * (
        blob_requests.CONNECT_SECONDS + blob_requests.READ_SECONDS
    )
    at_postgres = database.POOL_SECONDS + database.STATEMENT_SECONDS
    claimed = TURN_SECONDS + 3 * at_postgres  # claimed, given back, claimed again
    too_late = 3 * at_blob + at_postgres  # begun before the deadline: put, looked at, its metadata; given back
    in_time = at_postgres + 3 * at_graph + at_postgres  # saved; marked as read, deleted, looked for; ended
    in_time += at_postgres + at_blob  # a mail with an older record: its blobs on record, the last one looked at
    hours, minutes, seconds = map(
        int, json.loads((ROOT / "host.json").read_text("utf-8"))["functionTimeout"].split(":")
    )
    assert claimed + MESSAGE_SECONDS + max(too_late, in_time) < 3600 * hours + 60 * minutes + seconds
