"""Sessions of Postgres beside each other: each waits for its locks in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from tests.integration.databases import Database

SECONDS = 120  # to the end of two sessions; a deadlock is found after one


class Session:
    """A transaction on a connection of its own; its statements run one after another beside the test."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url)
        self._thread = ThreadPoolExecutor(1)
        self._asked: list[Future[Any]] = []

    @property
    def pid(self) -> int:
        return self._connection.info.backend_pid

    @property
    def done(self) -> bool:
        return all(one.done() for one in self._asked)

    def ask(self, statement: str, parameters: Sequence[object] | dict[str, object] = ()) -> None:
        def run() -> list[TupleRow]:
            cursor = self._connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

        self._asked.append(self._thread.submit(run))

    def commit(self) -> None:
        self._asked.append(self._thread.submit(self._connection.commit))

    def results(self) -> list[Any]:
        """Return the results of all statements; raises the error of the first one that failed."""
        return [one.result(SECONDS) for one in self._asked]

    def close(self) -> None:
        self._connection.cancel_safe()
        self._thread.shutdown()
        self._connection.close()


@contextmanager
def sessions(url: str, number: int) -> Iterator[list[Session]]:
    opened = [Session(url) for _ in range(number)]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def settle(database: Database, *asked: Session) -> None:
    """Wait until each session has its answer, or waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        _wait(lambda: all(one.done or admin.execute(waiting, [one.pid]).fetchone() != (0,) for one in asked))


def wait_for_lock(database: Database, login: str, asked: Future[Any]) -> None:
    """Wait until a session of this login waits for a lock, or its work is done."""
    waiting = "select count(*) from pg_stat_activity where usename = %s and wait_event_type = 'Lock'"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        _wait(lambda: asked.done() or admin.execute(waiting, [login]).fetchone() != (0,))


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)
