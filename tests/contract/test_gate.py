"""Four places at a mailbox, over all processes: here over several gates, each with a connection of its own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from ingest import trace
from ingest.errors import DatabaseUnavailable
from ingest.storage.gate import PLACES, MailboxGate
from local.postgres import Postgres

PATIENCE = 120.0  # seconds, for what happens within one


class Crowd:
    """Counts who is inside at the same time."""

    def __init__(self) -> None:
        self.most = self.inside = self.visits = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.visits += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


@pytest.fixture
def mailbox() -> str:
    return f"{secrets.token_hex(8)}@dms.example"


@pytest.fixture
def new_gate(postgres: Postgres) -> Iterator[Callable[[], MailboxGate]]:
    with ExitStack() as open_gates:

        def new() -> MailboxGate:
            gate = MailboxGate(postgres.app_url)
            open_gates.callback(gate.close)
            return gate

        yield new


def held_places(postgres: Postgres) -> int:
    """Advisory locks of all sessions, in this database."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as owner:
        row = owner.execute("select count(*) from pg_locks where locktype = 'advisory' and granted").fetchone()
        assert row is not None
        return int(row[0])


def run(*targets: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("gates", [1, 3])
def test_never_more_than_four_and_everybody_gets_in(
    new_gate: Callable[[], MailboxGate], postgres: Postgres, mailbox: str, gates: int
) -> None:
    crowd = Crowd()

    def visitor(gate: MailboxGate) -> Callable[[], None]:
        def visit() -> None:
            for _ in range(10):
                with gate(mailbox), crowd:
                    pass

        return visit

    run(*[visitor(gate) for gate in [new_gate() for _ in range(gates)] for _ in range(6)])
    assert crowd.visits == gates * 60
    assert crowd.most <= PLACES
    assert held_places(postgres) == 0


def test_four_are_really_inside_at_once(new_gate: Callable[[], MailboxGate], mailbox: str) -> None:
    gate = new_gate()
    together = threading.Barrier(PLACES)

    def visit() -> None:
        with gate(mailbox):
            together.wait(PATIENCE)

    run(*[visit] * PLACES)


def test_a_full_mailbox_lets_the_next_in_when_a_place_is_given_back_elsewhere(
    new_gate: Callable[[], MailboxGate], mailbox: str
) -> None:
    ours, theirs = new_gate(), new_gate()
    inside = threading.Event()

    def visit() -> None:
        with theirs(mailbox):
            inside.set()

    with ExitStack() as all_places:
        for _ in range(PLACES):
            all_places.enter_context(ours(mailbox))
        visitor = threading.Thread(target=visit)
        visitor.start()
        assert not inside.is_set()
        all_places.pop_all().close()
        assert inside.wait(PATIENCE)
        visitor.join(PATIENCE)


def test_mailboxes_do_not_wait_for_each_other(new_gate: Callable[[], MailboxGate], mailbox: str) -> None:
    gate = new_gate()
    with ExitStack() as all_places:
        for _ in range(PLACES):
            all_places.enter_context(gate(mailbox))
        with gate(f"other-{mailbox}"):
            pass


def test_a_place_is_given_back_however_the_request_ends(
    new_gate: Callable[[], MailboxGate], postgres: Postgres, mailbox: str
) -> None:
    gate = new_gate()
    with pytest.raises(ZeroDivisionError), gate(mailbox):
        raise ZeroDivisionError
    assert held_places(postgres) == 0


def test_a_surplus_place_is_not_kept(new_gate: Callable[[], MailboxGate], postgres: Postgres, mailbox: str) -> None:
    # A place comes back to a thread that is just being given another one: it needs only one of them.
    gate = new_gate()
    asking, go_on = threading.Event(), threading.Event()

    def visit() -> None:
        with gate(mailbox):
            pass

    def hold_up(name: str, phase: trace.Phase) -> None:
        if (name, phase) == ("sql.gate_take", "before") and threading.current_thread() is visitor:
            asking.set()
            go_on.wait(PATIENCE)

    visitor = threading.Thread(target=visit)
    stop = trace.subscribe(hold_up)
    try:
        with gate(mailbox):
            visitor.start()
            assert asking.wait(PATIENCE)
        go_on.set()
        visitor.join(PATIENCE)
    finally:
        stop()
    assert held_places(postgres) == 0


def test_a_lost_connection_frees_its_places_and_is_made_anew(
    new_gate: Callable[[], MailboxGate], postgres: Postgres, mailbox: str
) -> None:
    gate, other = new_gate(), new_gate()
    with gate(mailbox):
        # A role may end its own sessions; the owner is no superuser.
        with psycopg.connect(postgres.app_url, autocommit=True) as app:
            app.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'mail-ingest gate' and usename = current_user"
            )
        with ExitStack() as all_places:
            for _ in range(PLACES):
                all_places.enter_context(other(mailbox))
    with gate(mailbox):
        pass
    assert held_places(postgres) == 0


def test_a_database_that_is_down_raises_database_unavailable(mailbox: str) -> None:
    gate = MailboxGate("postgresql://ingest:leaked@127.0.0.1:1/dms")
    with pytest.raises(DatabaseUnavailable) as unavailable, gate(mailbox):
        pass
    assert "leaked" not in str(unavailable.value)


# Requests that yield


def visit_in_turn(gate: MailboxGate, mailbox: str, visits: list[str], name: str) -> Callable[[], None]:
    def visit() -> None:
        with gate(mailbox):
            visits.append(name)

    return visit


def wait_until(came: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not came():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.005)


def in_line(gate: MailboxGate, mailbox: str) -> int:
    places = gate._mailboxes[mailbox]
    return len(places._first) + len(places._yielding)


def test_a_request_that_yields_goes_after_all_others_of_its_process(
    new_gate: Callable[[], MailboxGate], mailbox: str
) -> None:
    gate, visits = new_gate(), list[str]()

    def backlog() -> None:
        with gate.yielding():
            visit_in_turn(gate, mailbox, visits, "backlog")()

    threads = [threading.Thread(target=backlog) for _ in range(6)]
    threads += [threading.Thread(target=visit_in_turn(gate, mailbox, visits, "new")) for _ in range(3)]
    with ExitStack() as kept:
        for _ in range(PLACES - 1):
            kept.enter_context(gate(mailbox))
        with gate(mailbox):
            for number, thread in enumerate(threads, start=1):
                thread.start()
                wait_until(lambda number=number: in_line(gate, mailbox) == number)  # type: ignore[misc]
        # One place for all in the line, one after the other.
        for thread in threads:
            thread.join(PATIENCE)
    assert visits == ["new"] * 3 + ["backlog"] * 6


def test_a_process_on_a_backlog_gives_its_place_to_the_one_that_waits(
    new_gate: Callable[[], MailboxGate], postgres: Postgres, mailbox: str
) -> None:
    busy, other = new_gate(), new_gate()
    stop, came = threading.Event(), threading.Event()

    def backlog() -> None:
        with busy.yielding():
            while not stop.is_set():
                with busy(mailbox):
                    stop.wait(0.01)

    def visit() -> None:
        with other(mailbox):
            came.set()

    threads = [threading.Thread(target=backlog) for _ in range(3 * PLACES)]
    for thread in threads:
        thread.start()
    wait_until(lambda: held_places(postgres) == PLACES)
    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        assert came.wait(PATIENCE)
    finally:
        stop.set()
        for thread in (*threads, visitor):
            thread.join(PATIENCE)
    assert held_places(postgres) == 0


def test_a_process_that_yields_gets_in_when_no_other_wants_to(
    new_gate: Callable[[], MailboxGate], mailbox: str
) -> None:
    ours, theirs = new_gate(), new_gate()
    came = threading.Event()

    def backlog() -> None:
        with theirs.yielding(), theirs(mailbox):
            came.set()

    visitor = threading.Thread(target=backlog)
    with ExitStack() as all_places:
        for _ in range(PLACES):
            all_places.enter_context(ours(mailbox))
        visitor.start()
    assert came.wait(PATIENCE)
    visitor.join(PATIENCE)


def test_a_backlog_has_one_place_while_its_process_works_on_new_mail(
    new_gate: Callable[[], MailboxGate], mailbox: str
) -> None:
    gate, crowd, stop = new_gate(), Crowd(), threading.Event()

    def backlog() -> None:
        with gate.yielding():
            while not stop.is_set():
                with gate(mailbox), crowd:
                    stop.wait(0.01)

    threads = [threading.Thread(target=backlog) for _ in range(2 * PLACES)]
    try:
        with gate.going_first():
            for thread in threads:
                thread.start()
            wait_until(lambda: crowd.visits > 2 * PLACES)
            assert crowd.most == 1
        wait_until(lambda: crowd.most == PLACES)
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_a_backlog_that_has_one_place_leaves_the_others_to_other_processes(
    new_gate: Callable[[], MailboxGate], mailbox: str
) -> None:
    ours, other, stop = new_gate(), new_gate(), threading.Event()

    def backlog() -> None:
        with ours.yielding():
            while not stop.is_set():
                with ours(mailbox):
                    stop.wait(0.01)

    threads = [threading.Thread(target=backlog) for _ in range(2 * PLACES)]
    try:
        with ours.going_first():
            for thread in threads:
                thread.start()
            with ExitStack() as places:
                for _ in range(PLACES - 1):
                    places.enter_context(other(mailbox))
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
