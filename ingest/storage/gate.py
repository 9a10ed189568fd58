"""At most four requests to one mailbox at a time, over all processes.

Outlook answers 429 to the fifth concurrent request of an app to a mailbox. Each of the four places of a mailbox is a
session advisory lock in Postgres: the place of a killed process is free as soon as its connection is gone. A process
hands a place from thread to thread without asking Postgres for up to a second; then other processes have their turn.

A place, as its process sees it:

    state       lock in Postgres    in `_held`  in `_free`  next states
    elsewhere   of another or none  no          no          lent or idle (`_ask` locks it), elsewhere
    idle        of this process     yes         yes         lent (`take`), lost
    lent        of this process     yes         no          idle (a thread waits here, the second is not over),
                                                            elsewhere (`_unlock`), lost
    lost        none: the session   no          no          dropped by `give_back`; nothing is unlocked twice
                ended with its lock

`give_back` chooses between idle and elsewhere, `_drop_connection` makes every held place lost. An idle place exists
only while a thread of this process waits for one.

https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

import psycopg
from psycopg.rows import TupleRow, tuple_row

from ingest import log
from ingest.errors import DatabaseUnavailable, GraphThrottled
from ingest.storage.database import connect, server_keepalives
from ingest.trace import span

PLACES = 4
SHARE_SECONDS = 1.0  # a process hands a place on among its own threads for so long while other processes wait
WAIT_SECONDS = 120.0  # for a place, before the message goes back to the queue
_BLOCK_MS = 2000  # one wait inside Postgres, which serves waiting processes in their order
_RETRY_SECONDS = 0.05  # between two attempts to get a further place, while this process has one

# The first free place. Row by row: no second place is locked once the first one is.
TRY_LOCK = """
select number from unnest(%(numbers)s::integer[]) as number where pg_try_advisory_lock(%(key)s, number) limit 1
"""


class MailboxGate:
    """The `Gate` of every mailbox of this process; one Postgres connection for each mailbox in use.

    Session locks need a direct connection, not one through PgBouncer in transaction mode.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._mailboxes: dict[str, _MailboxPlaces] = {}
        self._lock = Lock()

    @contextmanager
    def __call__(self, mailbox: str) -> Iterator[None]:
        """Hold a place for the duration of one request. Raises GraphThrottled or DatabaseUnavailable."""
        with self._lock:
            places = self._mailboxes.setdefault(mailbox, _MailboxPlaces(mailbox, self._database_url))
        place = places.take()
        try:
            yield
        finally:
            places.give_back(place)

    def close(self) -> None:
        """Give everything back by closing the connections."""
        with self._lock:
            for places in self._mailboxes.values():
                places.close()
            self._mailboxes.clear()


class _HeldPlace:
    """One of the four, while this process holds its lock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.since = time.monotonic()
        self.lost = False


class _MailboxPlaces:
    """The places of one mailbox that this process holds at the moment."""

    def __init__(self, mailbox: str, database_url: str) -> None:
        self._mailbox = mailbox
        self._key = zlib.crc32(mailbox.encode()) - 2**31  # Postgres takes a signed 32-bit integer
        self._database_url = database_url
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._state = Condition()
        self._held: dict[int, _HeldPlace] = {}
        self._free: list[_HeldPlace] = []
        self._waiting = 0
        self._looking = False  # one thread asks for a further place, for all that wait
        self._next_ask = 0.0

    def take(self) -> _HeldPlace:
        """Wait for a place, and lend it to this thread. Raises GraphThrottled, DatabaseUnavailable."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._state:
            self._waiting += 1
            try:
                while not self._free:
                    now = time.monotonic()
                    if now > deadline:
                        raise GraphThrottled("no place at the mailbox: other requests took too long")
                    if self._looking or len(self._held) == PLACES:
                        self._state.wait(deadline - now)  # a thread that asks, or gives a place back, notifies
                    else:
                        self._look(now)
                return self._free.pop()
            finally:
                self._waiting -= 1
                if self._waiting and not self._looking and len(self._held) < PLACES:
                    self._state.notify()  # another thread has to ask from now on

    def give_back(self, place: _HeldPlace) -> None:
        """Hand the place to a thread that waits here, or unlock it for other processes."""
        with self._state:
            if place.lost:
                return
            wanted_here = self._is_wanted() and time.monotonic() - place.since < SHARE_SECONDS
            if not wanted_here and not self._unlock(place):
                return
            if wanted_here:
                self._free.append(place)
            self._state.notify()

    def close(self) -> None:
        """Close the connection; its locks end with it."""
        with self._state:
            self._drop_connection()

    def _is_wanted(self) -> bool:
        """Return whether a thread of this process waits for one more place."""
        return self._waiting > len(self._free)

    def _look(self, now: float) -> None:
        """Ask for one more place when it is time, unless one comes free here before."""
        self._looking = True
        try:
            self._state.wait_for(lambda: bool(self._free), self._next_ask - now)
            if not self._free and len(self._held) < PLACES:
                self._ask()
        finally:
            self._looking = False

    def _ask(self) -> None:
        """Ask Postgres for one more place. Waits there only while this process has none at all."""
        numbers = [number for number in range(PLACES) if number not in self._held]
        wait_there = not self._held
        self._state.release()
        try:
            locked = self._lock_one(numbers, wait=wait_there)
        finally:
            self._state.acquire()
        # A connection that another thread dropped meanwhile took its locks with it.
        if locked is None or locked[0] is not self._connection:
            self._next_ask = time.monotonic() + _RETRY_SECONDS
        else:
            place = _HeldPlace(locked[1])
            self._held[place.number] = place
            # Another place may have come back meanwhile. A place that no thread takes is kept from other processes.
            if self._is_wanted():
                self._free.append(place)
            else:
                self._unlock(place)

    def _lock_one(self, numbers: list[int], *, wait: bool) -> tuple[psycopg.Connection[TupleRow], int] | None:
        """Lock one of the numbers; return the connection that holds the lock, and the number. None: all are taken."""
        known = self._connection
        try:
            connection = self._connected()
            with span("sql.gate_take"):
                row = connection.execute(TRY_LOCK, {"key": self._key, "numbers": numbers}).fetchone()
            if row is not None:
                return connection, int(row[0])
            if not wait:
                return None
            # A process that waits in Postgres is served before those that only try: no process starves.
            number = numbers[time.monotonic_ns() % len(numbers)]
            try:
                with span("sql.gate_wait"):
                    connection.execute("select pg_advisory_lock(%s, %s)", (self._key, number))
            except psycopg.errors.LockNotAvailable:
                # The lock may have been granted just as the timeout fired; release everything to be sure.
                with span("sql.gate_give_back"):
                    connection.execute("select pg_advisory_unlock_all()")
                return None
        except psycopg.Error as error:
            with self._state:
                self._drop_connection()
            if known is not None:
                return None  # the connection was cut since its last use: the next attempt makes a new one
            raise DatabaseUnavailable(f"the mailbox gate: {log.describe(error)}") from None
        return connection, number

    def _unlock(self, place: _HeldPlace) -> bool:
        self._held.pop(place.number, None)
        if self._connection is None:
            return False
        try:
            with span("sql.gate_give_back"):
                self._connection.execute("select pg_advisory_unlock(%s, %s)", (self._key, place.number))
        except psycopg.Error as error:
            # The server frees the locks of a lost session by itself.
            log.warning("gate.connection_lost", mailbox=self._mailbox, cause=log.describe(error))
            self._drop_connection()
        return True

    def _connected(self) -> psycopg.Connection[TupleRow]:
        connection = self._connection  # read once: a thread that gives a place back may drop it
        if connection is None or connection.closed:
            connection = connect(
                self._database_url,
                "mail-ingest gate",
                row_factory=tuple_row,
                autocommit=True,
                # Half a minute after an instance vanished, its places are free; by default that takes two hours.
                options={"lock_timeout": str(_BLOCK_MS), **server_keepalives()},
            )
            with self._state:
                self._drop_connection()
                self._connection = connection
        return connection

    def _drop_connection(self) -> None:
        self._state.notify_all()  # the places are gone, and have to be asked for again
        for place in self._held.values():
            place.lost = True
        self._held.clear()
        self._free.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
