"""An endpoint that does not answer costs all mails in work one time limit, not one each."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event, Semaphore

import pytest

from ingest.errors import GraphUnavailable
from ingest.graph.shared_attempt import SharedAttempt

MAILS = 24


def test_all_that_wait_for_a_failing_attempt_share_its_failure() -> None:
    times, asked, timed_out = count(), Semaphore(0), Event()
    attempts: list[str] = []

    def clock() -> float:
        now = next(times)
        asked.release()
        return now

    shared = SharedAttempt(clock)

    def ask() -> None:
        with shared.turn():
            attempts.append("token endpoint")
            timed_out.wait()
            raise GraphUnavailable("token endpoint: requests.exceptions.ConnectTimeout")

    with ThreadPoolExecutor(MAILS) as mails:
        asking = [mails.submit(ask) for _ in range(MAILS)]
        for _ in range(MAILS):
            asked.acquire()
        timed_out.set()
        failures = [str(one.exception()) for one in asking]
    assert attempts == ["token endpoint"]
    assert failures == ["token endpoint: requests.exceptions.ConnectTimeout"] * MAILS


def test_a_call_after_a_failure_makes_an_attempt_of_its_own() -> None:
    shared = SharedAttempt()
    with pytest.raises(GraphUnavailable), shared.turn():
        raise GraphUnavailable("token endpoint: requests.exceptions.ConnectTimeout")
    with shared.turn():
        pass
