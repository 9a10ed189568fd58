"""A listener for new documents: call `run` from a management command of the DMS.

A notification is a hint: without a listener it is lost. Look for new documents first, then after each notification, and
from time to time without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg

CHANNEL = "ingest_document"
LOOK_ANYWAY_SECONDS = 60.0
RECONNECT_SECONDS = 5.0


def document_ids(database_url: str) -> Iterator[str | None]:
    """Yield the ids of new documents as they are committed; None first, and after each silent minute."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"listen {CHANNEL}")
        yield None
        while True:
            notified = False
            for notification in connection.notifies(timeout=LOOK_ANYWAY_SECONDS, stop_after=1):
                notified = True
                yield notification.payload
            if not notified:
                yield None


def run(database_url: str, take_over: Callable[[], None], *, reconnect_seconds: float = RECONNECT_SECONDS) -> None:
    """Call `take_over`, which takes over all documents that the DMS lacks, whenever there may be new ones.

    Connects again where Postgres goes away: the first look after that finds what was committed meanwhile.
    """
    while True:
        try:
            for _ in document_ids(database_url):
                take_over()
        except psycopg.OperationalError:
            time.sleep(reconnect_seconds)
