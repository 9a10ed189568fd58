"""Hear of new documents within moments: call `run` from a management command of the DMS.

A notification is a hint and nothing more: it is lost where nobody listens. So look for what is new first, then
after every notification, and from time to time without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg

CHANNEL = "ingest_document"
LOOK_ANYWAY_SECONDS = 60.0


def document_ids(database_url: str) -> Iterator[str | None]:
    """The ids of new documents as they are committed; None first, and whenever a minute was silent."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"listen {CHANNEL}")
        yield None
        while True:
            heard = False
            for notification in connection.notifies(timeout=LOOK_ANYWAY_SECONDS, stop_after=1):
                heard = True
                yield notification.payload
            if not heard:
                yield None


def run(database_url: str, take_over: Callable[[], None]) -> None:
    """Call `take_over`, which takes over whatever the DMS does not have yet, whenever there may be something."""
    for _ in document_ids(database_url):
        take_over()
