"""At most four requests to one mailbox at a time, over all processes.

Outlook answers 429 to the fifth concurrent request of an app to a mailbox. Each of the four places of a mailbox is a
session advisory lock in Postgres: the place of a killed process is free as soon as its connection is gone. A process
hands a place from thread to thread without asking Postgres for up to a second; then other processes have their turn.

A place, as its process sees it:

    state       lock in Postgres    in `_held`  next states
    elsewhere   of another or none  no          held (`_ask` locks it)
    held        of this process     yes         held by the next thread in the line (`give_back`, the second is not
                                                over), elsewhere (`_unlock`, `_offer`), lost
    lost        none: the session   no          dropped by `give_back`; nothing is unlocked twice
                ended with its lock

Requests of a backlog yield. Within a process they stand behind all others in the line. A process that has only such
requests never waits in Postgres, and offers its places to the processes that do. Postgres gives a lock to the
sessions that wait for it before another session may try. So a request that does not yield gets the next place that
comes free, for any number of instances that work on a backlog. While a process works on new mail, its backlog has one
place at each mailbox: the threads of a process share one interpreter.

https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
_LAST_RETRY_SECONDS = 1.0  # up to which that time grows in a process that only yields and has no place
OFFER_SECONDS = 0.03  # how often a place that works on a backlog is offered to other processes

_yields: ContextVar[bool] = ContextVar("yields", default=False)

# The first free place, or null; and whether the server was demoted: a replica grants locks that no other server knows.
# Row by row: no second place is locked once the first one is.
TRY_LOCK = """
select (
    select number from unnest(%(numbers)s::integer[]) as number where pg_try_advisory_lock(%(key)s, number) limit 1
), current_setting('transaction_read_only') = 'on'
"""

# Unlocked and locked again at once. A session that waits for the place gets the lock in between.
OFFER = "select pg_advisory_unlock(%(key)s, %(number)s), pg_try_advisory_lock(%(key)s, %(number)s)"


class MailboxGate:
    """The `Gate` of every mailbox of this process; one Postgres connection for each mailbox in use.

    Session locks need a direct connection, not one through PgBouncer in transaction mode.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._mailboxes: dict[str, _MailboxPlaces] = {}
        self._new_mail = _NewMail()
        self._lock = Lock()

    @contextmanager
    def __call__(self, mailbox: str) -> Iterator[None]:
        """Hold a place for the duration of one request. Raises GraphThrottled or DatabaseUnavailable."""
        with self._lock:
            places = self._mailboxes.setdefault(mailbox, _MailboxPlaces(mailbox, self._database_url, self._new_mail))
        place = places.take(yields=_yields.get())
        try:
            yield
        finally:
            places.give_back(place)

    @contextmanager
    def yielding(self) -> Iterator[None]:
        """Let all other requests go before those that this thread makes in here."""
        token = _yields.set(True)
        try:
            yield
        finally:
            _yields.reset(token)

    @contextmanager
    def going_first(self) -> Iterator[None]:
        """Hold back the backlog of this process while new mail is worked on in here, with requests or without."""
        self._new_mail.add(1)
        try:
            yield
        finally:
            if not self._new_mail.add(-1):
                self._let_backlogs_go_on()

    def _let_backlogs_go_on(self) -> None:
        with self._lock:
            mailboxes = list(self._mailboxes.values())
        for places in mailboxes:
            places.go_on()

    def close(self) -> None:
        """Give everything back by closing the connections."""
        with self._lock:
            for places in self._mailboxes.values():
                places.close()
            self._mailboxes.clear()


class _NewMail:
    """The count of new mails that this process works on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.in_work = 0

    def add(self, number: int) -> int:
        """Change the count, and return the new one."""
        with self._lock:
            self.in_work += number
            return self.in_work


class _HeldPlace:
    """One of the four, while this process holds its lock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.since = self.offered = time.monotonic()
        self.lost = False
        self.backlog = False  # lent to a request of a backlog


class _Waiter:
    """A thread in the line for a place. `place` is set by the thread that hands one on."""

    def __init__(self, lock: Lock) -> None:
        self.turn = Condition(lock)
        self.place: _HeldPlace | None = None


class _MailboxPlaces:
    """The places of one mailbox that this process holds at the moment, and its threads that wait for one."""

    def __init__(self, mailbox: str, database_url: str, new_mail: _NewMail) -> None:
        self._mailbox = mailbox
        self._new_mail = new_mail
        self._key = zlib.crc32(mailbox.encode()) - 2**31  # Postgres takes a signed 32-bit integer
        self._database_url = database_url
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._lock = Lock()
        self._held: dict[int, _HeldPlace] = {}
        self._first: deque[_Waiter] = deque()
        self._yielding: deque[_Waiter] = deque()
        self._looker: _Waiter | None = None  # the thread that asks for a further place, for all in the line
        self._next_ask = 0.0
        self._pause = _RETRY_SECONDS

    def take(self, *, yields: bool) -> _HeldPlace:
        """Wait for a place, and lend it to this thread. Raises GraphThrottled, DatabaseUnavailable."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._lock:
            waiter = _Waiter(self._lock)
            line = self._yielding if yields else self._first
            line.append(waiter)
            if not yields and self._looker is not None:
                self._looker.turn.notify()  # the rest before its next attempt is over
            try:
                while waiter.place is None:
                    now = time.monotonic()
                    if now > deadline:
                        raise GraphThrottled("no place at the mailbox: other requests took too long")
                    if self._looker is not None or len(self._held) == PLACES or (yields and self._is_backlog_held_back):
                        waiter.turn.wait(deadline - now)
                    else:
                        self._look(waiter, now)
                return waiter.place
            finally:
                if waiter.place is None:
                    line.remove(waiter)
                self._wake_a_looker()

    def give_back(self, place: _HeldPlace) -> None:
        """Hand the place to a thread that waits here, or unlock it for other processes."""
        with self._lock:
            if place.lost:
                return
            now = time.monotonic()
            place.backlog = False
            if now - place.since >= SHARE_SECONDS or not self._line:
                self._unlock(place)
            elif self._first or self._keeps(place, now):
                self._hand_on(place)
            self._wake_a_looker()

    def go_on(self) -> None:
        """Let the backlog have more than one place again."""
        with self._lock:
            self._wake_a_looker()

    def close(self) -> None:
        """Close the connection; its locks end with it."""
        with self._lock:
            self._drop_connection()

    @property
    def _line(self) -> deque[_Waiter]:
        """Return the threads of which the first gets the next place."""
        if self._first or not self._is_backlog_held_back:
            return self._first or self._yielding
        return deque()

    @property
    def _is_backlog_held_back(self) -> bool:
        return self._new_mail.in_work > 0 and any(place.backlog for place in self._held.values())

    def _keeps(self, place: _HeldPlace, now: float) -> bool:
        """Return whether the place stays here after the sessions that wait for it had the chance to take it."""
        if now - place.offered < OFFER_SECONDS:
            return True
        place.offered = now
        return self._offer(place)

    def _hand_on(self, place: _HeldPlace) -> bool:
        """Hand the place to the first thread in the line; return False where no thread waits."""
        line = self._line
        if not line:
            return False
        place.backlog = line is self._yielding
        waiter = line.popleft()
        waiter.place = place
        waiter.turn.notify()
        return True

    def _wake_a_looker(self) -> None:
        """Let the first in the line ask for a further place, where no thread does and there may be one."""
        line = self._line
        if line and self._looker is None and len(self._held) < PLACES:
            line[0].turn.notify()

    def _look(self, waiter: _Waiter, now: float) -> None:
        """Ask for one more place when it is time, unless one comes free here before."""
        self._looker = waiter
        try:
            if not self._first:
                waiter.turn.wait_for(lambda: waiter.place is not None or bool(self._first), self._next_ask - now)
            elif self._held:
                waiter.turn.wait_for(lambda: waiter.place is not None, min(self._next_ask - now, _RETRY_SECONDS))
            if waiter.place is None and len(self._held) < PLACES:
                self._ask()
        except DatabaseUnavailable:
            if waiter.place is None:  # otherwise another thread has handed a place to it meanwhile
                raise
        finally:
            self._looker = None

    def _ask(self) -> None:
        """Ask Postgres for one more place. Waits there only while this process has none and a thread does not yield."""
        numbers = [number for number in range(PLACES) if number not in self._held]
        wait_there = not self._held and bool(self._first)
        self._lock.release()
        try:
            locked = self._lock_one(numbers, wait=wait_there)
        finally:
            self._lock.acquire()
        # A connection that another thread dropped meanwhile took its locks with it.
        if locked is None or locked[0] is not self._connection:
            rests = not self._held and not self._first
            self._pause = min(2 * self._pause, _LAST_RETRY_SECONDS) if rests else _RETRY_SECONDS
            self._next_ask = time.monotonic() + self._pause
            return
        self._pause = _RETRY_SECONDS
        place = _HeldPlace(locked[1])
        self._held[place.number] = place
        # Another place may have come back meanwhile. A place that no thread takes is kept from other processes.
        if not self._hand_on(place):
            self._unlock(place)

    def _lock_one(self, numbers: list[int], *, wait: bool) -> tuple[psycopg.Connection[TupleRow], int] | None:
        """Lock one of the numbers; return the connection that holds the lock, and the number. None: all are taken."""
        known = self._connection
        try:
            connection = self._connected()
            with span("sql.gate_take"):
                row = connection.execute(TRY_LOCK, {"key": self._key, "numbers": numbers}).fetchone()
            free, demoted = row or (None, False)
            if demoted:
                raise psycopg.errors.ReadOnlySqlTransaction
            if free is not None:
                return connection, int(free)
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
            with self._lock:
                self._drop_connection()
            if known is not None:
                return None  # the connection was cut since its last use: the next attempt makes a new one
            raise DatabaseUnavailable(f"the mailbox gate: {log.describe(error)}") from None
        return connection, number

    def _unlock(self, place: _HeldPlace) -> None:
        self._held.pop(place.number, None)
        if self._connection is None:
            return
        try:
            with span("sql.gate_give_back"):
                self._connection.execute("select pg_advisory_unlock(%s, %s)", (self._key, place.number))
        except psycopg.Error as error:
            self._lose_connection(error)

    def _offer(self, place: _HeldPlace) -> bool:
        """Unlock the place and lock it again; return False where another session has it now."""
        if self._connection is None:
            return False
        try:
            with span("sql.gate_offer"):
                row = self._connection.execute(OFFER, {"key": self._key, "number": place.number}).fetchone()
        except psycopg.Error as error:
            self._lose_connection(error)
            return False
        if row is not None and row[1]:
            return True
        self._held.pop(place.number, None)
        return False

    def _lose_connection(self, error: psycopg.Error) -> None:
        # The server frees the locks of a lost session by itself.
        log.warning("gate.connection_lost", mailbox=self._mailbox, cause=log.describe(error))
        self._drop_connection()

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
            with self._lock:
                self._drop_connection()
                self._connection = connection
        return connection

    def _drop_connection(self) -> None:
        for place in self._held.values():
            place.lost = True
        self._held.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._wake_a_looker()
