"""The running app: drained, and watched from outside."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.mails import Sample, deliver_silently
from bench.processes import busy_seconds, cpu_by_part, cpu_of_threads
from local.stack import Stack

_LOOK_SECONDS = 0.05  # looking costs the simulator a millisecond, which is time that is measured
_PATIENCE = 300.0
_IN_FLIGHT_SECONDS = 0.5  # above every latency that is measured: the last DELETE is counted when its answer goes out


class StuckError(RuntimeError):
    """The app did not finish in time."""


@dataclass(frozen=True, kw_only=True)
class Drained:
    """The time and the cost of a number of mails.

    `busy`: seconds in which Graph's places were taken, all together. `cpu`: seconds, by part of the stack. `cpu_app`:
    seconds of the threads of the first host in which the app's functions run; the host's other threads belong to the
    host and to Microsoft's worker. `cores_busy`: of the whole machine, its kernel included.
    """

    mails: int
    seconds: float
    busy: float
    cpu: dict[str, float]
    cpu_app: float
    cores_busy: float
    requests: dict[str, int]
    bytes_sent: int
    throttled: int
    most_concurrent: int

    @property
    def rate(self) -> float:
        """Return mails a second."""
        return self.mails / self.seconds

    @property
    def message_requests(self) -> int:
        """Count the requests that name a message."""
        return sum(count for route, count in self.requests.items() if "{message}" in route)

    @property
    def pages(self) -> int:
        """Count the requests that list messages."""
        return sum(count for route, count in self.requests.items() if route.endswith("/messages"))

    @property
    def places_taken(self) -> float:
        """Return the average number of Graph's places that were taken."""
        return self.busy / self.seconds

    @property
    def request_milliseconds(self) -> float:
        """Return the average time from a request's arrival at Graph to the end of its answer."""
        return 1000 * self.busy / sum(self.requests.values())


def drain_by_sweep(stack: Stack, backlog: Mapping[str, Sequence[Sample]]) -> Drained:
    """Put a backlog into each mailbox, fire the timer, and wait until nothing is left."""
    for mailbox, mails in backlog.items():
        deliver_silently(stack.admin, list(mails), mailbox)
    return _measured(stack, sum(map(len, backlog.values())), stack.maintain)


def drain_by_webhook(stack: Stack, mailbox: str, mails: Sequence[Sample]) -> Drained:
    """Deliver mails one after another, each notified at once, and wait until nothing is left."""

    def deliver() -> None:
        for mail in mails:
            stack.admin.deliver(mail.raw, [mailbox])

    return _measured(stack, len(mails), deliver)


def one_by_webhook(stack: Stack, mailbox: str, mail: Sample) -> float:
    """Return the milliseconds from the delivery of a mail until it is stored and deleted."""
    began = time.perf_counter()
    [state] = stack.admin.deliver(mail.raw, [mailbox])

    def ended() -> bool:
        return any(found.id == state.id and found.folder == "deleted" for found in stack.admin.messages())

    stack.admin.wait_for(ended, what="one mail to be stored")
    return 1000 * (time.perf_counter() - began)


def left_in_inboxes(stack: Stack) -> int:
    """Count the messages in all inboxes."""
    return sum(stack.admin.folders(mailbox)["Inbox"] for mailbox in stack.identity.mailboxes)


def wait_until_empty(stack: Stack, *, patience: float = _PATIENCE) -> None:
    """Return when no inbox holds anything. Raises StuckError."""
    deadline = time.monotonic() + patience
    while left := left_in_inboxes(stack):
        if time.monotonic() > deadline:
            raise StuckError(f"{left} mails are still in the inbox after {patience:.0f} s; see {stack.data}/*.log")
        time.sleep(_LOOK_SECONDS)


def _measured(stack: Stack, mails: int, begin: Callable[[], None]) -> Drained:
    stack.admin.reset_counters()
    pid = stack.hosts[0].pid
    assert pid is not None  # noqa: S101 - the stack runs
    app_before, cpu_before = cpu_of_threads(pid), cpu_by_part()
    busy_before, began = busy_seconds(), time.perf_counter()
    begin()
    wait_until_empty(stack)
    seconds, cores_busy = time.perf_counter() - began, busy_seconds() - busy_before
    cpu = {part: spent - cpu_before.get(part, 0.0) for part, spent in cpu_by_part().items()}
    time.sleep(_IN_FLIGHT_SECONDS)
    counts = stack.admin.requests()
    by_route: Counter[str] = Counter()
    for (route, _status), count in counts.by_route.items():
        by_route[route] += count
    return Drained(
        mails=mails,
        seconds=seconds,
        busy=sum(counts.busy_seconds.values()),
        cpu={part: round(spent, 3) for part, spent in cpu.items()},
        cpu_app=cpu_of_threads(pid) - app_before,
        cores_busy=cores_busy / seconds,
        requests=dict(by_route),
        bytes_sent=counts.bytes_sent,
        throttled=counts.throttled,
        most_concurrent=max(counts.max_concurrent.values(), default=0),
    )
