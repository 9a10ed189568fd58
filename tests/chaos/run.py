"""The chaos: mails go in while processes die, calls fail and whole services are down; then calm, and the books.

The thread that runs it is the only one that starts processes; another one sends.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg
import requests

from ingest.codes import AnswerKind, Reason
from local.graph.admin.client import AdminError
from local.graph.process import GraphEndpoint
from local.stack import Stack
from operations.audit import Account
from operations.tenants.answers import AnswerRules
from tests.chaos import plugin
from tests.chaos.accounts import Books, balance, ended, queued, unfinished
from tests.chaos.control import Control
from tests.chaos.graph import QUARANTINE, Mailbox
from tests.chaos.mails import KINDS, Sent, mails, sender_of
from tests.chaos.nursery import Nursery
from tests.chaos.points import FREQUENT, POINTS
from tests.chaos.proxy import Proxy

HOSTS = 3
TENANTS = 5
FAULTS = 0.1  # of all calls to Graph, Blob and Postgres
_SWEEP_SECONDS = 3.0  # longer than a sweep of an empty inbox takes
_TICK = 0.1  # seconds between two looks at everything
_GRAPH_FAULTS = (401, 404, 412, 429, 500, 502, 503, 504, "reset", "lost", "truncate", "slow", "no_next_link")
_SLOW_SECONDS = 1.0
_AHEAD = 4  # points that are armed at the same time
_ENCORE = 2 * KINDS  # mails sent on top while points wait for a process to die there
_ENCORES = 40
_CLIENT_STATE = "a-secret-of-the-chaos-suite"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The amounts and times of a run. Times in seconds: an hour of the real settings is a few seconds here."""

    mails: int
    seed: int
    lease: int
    retry: float
    outage: float
    in_flight: int
    patience: float
    answers: bool = False  # whether every tenant wants every answer to a sender
    points: int = len(POINTS)  # the number at which a process dies; fewer, in a quick test, are of the FREQUENT calls


SHORT = Plan(mails=200, seed=1, lease=3, retry=0.5, outage=1, in_flight=100, patience=300)
LONG = Plan(mails=10_000, seed=1, lease=8, retry=15, outage=10, in_flight=150, patience=900)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Another Graph endpoint, and the SMTP server that brings mail into its mailbox."""

    endpoint: GraphEndpoint
    smtp: tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Result:
    """The events of a run, and its result."""

    books: Books
    mails: int
    kills: Mapping[str, int]
    passed: Mapping[str, int]
    deaths: int
    faults: Mapping[str, Mapping[str, int]]
    calls: Mapping[str, int]
    outages: int
    subscriptions_removed: int
    released: int
    seconds: float
    answers: Mapping[int, int]  # by the number of the mail, where there is one

    @property
    def missed(self) -> tuple[str, ...]:
        """Points at which no process has died."""
        return tuple(point for point, kills in self.kills.items() if not kills)


class Chaos:
    """One run, in the (empty) directory `data`. `show` takes lines of progress."""

    def __init__(
        self, plan: Plan, data: Path, *, foreign: Foreign | None = None, show: Callable[[str], None] = lambda _: None
    ) -> None:
        self._plan = plan
        self._data = data
        self._foreign = foreign
        self._show = show
        self._random = random.Random(plan.seed)  # noqa: S311 - replayable, not unpredictable
        self._nursery = Nursery()
        self._sent: list[Sent] = []
        self._places_ended = 0
        self._deaths = 0
        self._outages = 0
        self._removed = 0
        self._released = 0
        self._encores = 0
        self._sweep_due = 0.0
        self._report_due = 0.0

    def run(self) -> Result:
        """Start everything, let it happen, let it calm down, compare."""
        began = time.monotonic()
        with ExitStack() as entered:
            self._start(entered)
            self._storm()
            self._calm()
            books = balance(self._stack, self._sent, self._mailbox.places())
            faults, calls = self._counted_faults()
            return Result(
                books=books,
                mails=len(self._sent),
                kills={point: self._control.killed(point) for point in POINTS},
                passed={point: self._control.passed(point) for point in POINTS},
                deaths=self._deaths,
                faults=faults,
                calls=calls,
                outages=self._outages,
                subscriptions_removed=self._removed,
                released=self._released,
                seconds=time.monotonic() - began,
                answers=self._answers(),
            )

    # Before

    def _start(self, entered: ExitStack) -> None:
        self._show("starting the stack")
        stack = Stack(
            self._data,
            hosts=0,
            graph=self._foreign.endpoint if self._foreign else None,
            simulator_arguments=_SIMULATOR,
        )
        self._stack = entered.enter_context(stack)
        self._tenants = [stack.add_tenant(f"Tenant {number}") for number in range(TENANTS)]
        if self._plan.answers:
            self._want_answers()
        self._blob = entered.enter_context(
            Proxy("Blob", lambda: urlsplit(stack.azurite.blob.endpoint).port or 0, seed=self._plan.seed)
        )
        database = urlsplit(stack.postgres.app_url)
        self._postgres = entered.enter_context(Proxy("Postgres", lambda: database.port or 0, seed=self._plan.seed))
        self._control = Control(self._data / "control")
        # Entered last, so that the hosts end before what they use.
        entered.enter_context(self._nursery)
        for _ in range(HOSTS):
            stack.add_host(settings=self._settings(), arguments=["--queue-lease", str(self._plan.lease), *_PLUGIN])
        for host in stack.hosts:
            self._nursery.start(host)
        simulator = stack.simulator
        smtp = (simulator.smtp_host, simulator.smtp_port) if simulator else None
        self._mailbox = Mailbox(stack, self._foreign.smtp if self._foreign else smtp or ("", 0))

    def _want_answers(self) -> None:
        rules, why = AnswerRules(self._stack.postgres.owner_url), Account(why="chaos", remark="chaos")
        for kind in AnswerKind:
            for tenant in (None, *(int(tenant.id) for tenant in self._tenants)):
                rules.set(tenant, kind, why, wanted=True)

    def _answers(self) -> Mapping[int, int]:
        """Return the number of answers that each mail's sender has got."""
        if not self._plan.answers or self._mailbox.admin is None:
            return {}
        got = Counter(recipient for mail in self._mailbox.admin.sent() for recipient in mail.recipients)
        return {mail.number: got[sender_of(mail.number)] for mail in self._sent if got[sender_of(mail.number)]}

    def _settings(self) -> dict[str, str]:
        """Time, compressed by settings alone; and the way to Postgres and Blob, through the proxies."""
        stack = self._stack
        database = urlsplit(stack.postgres.app_url)
        blob = urlsplit(stack.azurite.blob.endpoint)
        queues = "AzureFunctionsJobHost__extensions__queues__"
        return {
            plugin.CONTROL: str(self._data / "control"),
            "INGEST_DATABASE_URL": stack.postgres.app_url.replace(f":{database.port}/", f":{self._postgres.port}/"),
            "INGEST_STORAGE": stack.azurite.connection_string.replace(f":{blob.port}/", f":{self._blob.port}/"),
            "INGEST_CLIENT_STATE": _CLIENT_STATE,
            "INGEST_SWEEP_SCOPE": "all",
            "INGEST_ANSWERS": "graph" if self._plan.answers else "off",
            "INGEST_LEASE_SECONDS": str(self._plan.lease),
            "INGEST_RETRY_SECONDS": str(self._plan.retry),
            f"{queues}visibilityTimeout": "00:00:01",
            f"{queues}maxDequeueCount": "3",
            f"{queues}maxPollingInterval": "00:00:01",
            "AzureFunctionsJobHost__logging__logLevel__default": "Warning",
        }

    # The storm

    def _storm(self) -> None:
        short = self._plan.points < len(POINTS)
        pending = [point for point in POINTS if not short or point.split()[0] in FREQUENT]
        self._random.shuffle(pending)
        # The folder is made once: its points have to be armed before the first mail is quarantined.
        pending.sort(key=lambda point: "create_folder" not in point)
        del pending[self._plan.points :]
        troubles = self._troubles()
        self._start_faults()
        stop = Event()
        sender = Thread(target=self._send, args=(stop,), name="sender")
        sender.start()
        try:
            while sender.is_alive() or pending or self._still_armed():
                self._look_after_everything()
                share = self._progress()
                self._arm(pending, share)
                self._do_due(troubles, share)
                self._provoke()
                if not sender.is_alive() and (self._encores >= _ENCORES or not self._encore(pending)):
                    break
                time.sleep(_TICK)
            for _, trouble in troubles:
                trouble()
        finally:
            stop.set()
            sender.join()

    def _send(self, stop: Event) -> None:
        """Everything, with no more than so many in flight."""

        def paced() -> Iterator[Sent]:
            for mail in islice(mails(self._plan.seed, self._tenants), self._plan.mails):
                while len(self._sent) - self._places_ended > self._plan.in_flight and not stop.is_set():
                    stop.wait(_TICK)
                if stop.is_set():
                    return
                yield mail

        for mail in self._mailbox.send(paced()):
            self._sent.append(mail)

    def _encore(self, pending: list[str]) -> bool:
        """Send more mails for the points that were not passed often enough; return False where no point waits."""
        if not pending and not self._still_armed():
            return False
        if len(self._sent) - self._places_ended < _ENCORE:
            self._encores += 1
            more = islice(mails(self._plan.seed, self._tenants), len(self._sent), len(self._sent) + _ENCORE)
            self._sent += self._mailbox.send(more)
        return True

    def _progress(self) -> float:
        return self._places_ended / self._plan.mails

    def _start_faults(self) -> None:
        admin = self._mailbox.admin
        if admin is not None:
            admin.add_fault(
                *_GRAPH_FAULTS, probability=FAULTS, seed=self._plan.seed, seconds=_SLOW_SECONDS, retry_after=0.3
            )
            admin.set_notification_faults(
                drop_probability=0.1,
                double_probability=0.1,
                delay=(0.0, self._plan.retry),
                reorder=True,
                seed=self._plan.seed,
            )

    def _look_after_everything(self) -> None:
        """Do one round: restart dead hosts, fire the timer, keep the share of faults, report."""
        self._replace_the_dead()
        now = time.monotonic()
        if now >= self._sweep_due:
            self._sweep_due = now + max(self._plan.retry / 2, 2)
            self._fire("maintain")
            if self._plan.answers:
                self._fire("answer")
            self._keep_share(self._postgres, "sql.")
            self._keep_share(self._blob, "blob.")
        if now >= self._report_due:
            self._report_due = now + 1
            self._count_ended()
            hit = sum(self._control.killed(point) > 0 for point in POINTS)
            self._show(
                f"{len(self._sent)} mails sent, {self._places_ended} ended, {self._deaths} processes killed, "
                f"{hit} of {len(POINTS)} points hit, {self._outages} outages"
            )

    def _count_ended(self) -> None:
        with suppress(psycopg.Error):  # Postgres is down; the next round counts
            self._places_ended = ended(self._stack)

    def _replace_the_dead(self) -> None:
        for host in self._nursery.dead():
            self._deaths += 1
            self._nursery.start(host)

    def _fire(self, function: str) -> None:
        host = self._random.choice(self._stack.hosts)
        with suppress(requests.RequestException):  # it is being killed: the next turn goes to another one
            requests.post(f"{host.url}/admin/functions/{function}", json={"input": ""}, timeout=5)

    def _keep_share(self, proxy: Proxy, prefix: str) -> None:
        """So many faults that they hit the wanted share of the app's calls, each of which is several on the wire."""
        calls = self._calls(prefix)
        if proxy.calls:
            proxy.probability = min(FAULTS, FAULTS * calls / proxy.calls)

    def _calls(self, prefix: str) -> int:
        """Return the number of calls that the app has begun; reading the content of an answer is no call of its own."""
        begun = (point for point in POINTS if point.startswith(prefix) and point.endswith(" before"))
        return sum(self._control.passed(point) for point in begun if ".content" not in point)

    def _arm(self, pending: list[str], share: float) -> None:
        """Spread the deaths over the mails; the last third of them is left for the points that are rarely passed."""
        allowed = math.ceil(self._plan.points * min(1.0, share * 1.5)) + _AHEAD
        while pending and self._plan.points - len(pending) < allowed:
            self._control.arm(pending.pop(0), self._random.randint(1, 3))

    def _still_armed(self) -> bool:
        return any(self._control.armed(point) for point in POINTS)

    def _troubles(self) -> list[tuple[float, Callable[[], None]]]:
        """Return the events that happen once, each with its share of the mails."""
        stack = self._stack
        postgres = (stack.postgres.kill, stack.postgres.start)
        blob = (stack.azurite.blob.stop, stack.azurite.blob.start)
        queue = (stack.azurite.queue.stop, stack.azurite.queue.start)
        admin = self._mailbox.admin
        services = [postgres, blob, queue]
        if admin is not None:
            services.insert(2, (lambda: admin.set_outage(on=True), lambda: admin.set_outage(on=False)))
        outages: list[Callable[[], None]] = [partial(self._outage, service) for service in services]
        outages.append(partial(self._outage, *services))
        return sorted(
            [
                *((0.15 * number, outage) for number, outage in enumerate(outages, start=1)),
                *((share, self._remove_subscription) for share in (0.1, 0.4, 0.85)),
            ],
            key=lambda trouble: trouble[0],
        )

    def _do_due(self, troubles: list[tuple[float, Callable[[], None]]], share: float) -> None:
        while troubles and troubles[0][0] <= share:
            _, trouble = troubles.pop(0)
            trouble()

    def _outage(self, *parts: tuple[Callable[[], None], Callable[[], None]]) -> None:
        for down, _ in parts:
            down()
        until = time.monotonic() + self._plan.outage
        while time.monotonic() < until:
            self._look_after_everything()
            time.sleep(_TICK)
        for _, up in parts:
            up()
        self._outages += 1

    def _remove_subscription(self) -> None:
        self._undisturbed(self._mailbox.drop_subscriptions)
        self._removed += 1

    def _provoke(self) -> None:
        """Provoke the calls that are too rare by themselves for a process to die in them."""
        wanted = {point.split()[0] for point in POINTS if self._control.armed(point)}
        if self._random.random() > _TICK / self._plan.retry:
            return
        if "graph.renew_subscription" in wanted:
            self._reauthorize()
        if "graph.delete_subscription" in wanted:
            self._undisturbed(self._mailbox.spoil_subscription)
        if "graph.create_subscription" in wanted:
            self._undisturbed(self._mailbox.drop_subscriptions)
        if wanted & {"graph.create_folder", "graph.find_folder"} and self._progress() > _TICK:
            self._undisturbed(lambda: self._mailbox.put_aside_quarantine(self._random.randrange(10**9)))

    def _reauthorize(self) -> None:
        """The lifecycle event as Graph would send it."""
        event = {
            "subscriptionId": "any",
            "clientState": _CLIENT_STATE,
            "lifecycleEvent": "reauthorizationRequired",
        }
        url = f"{self._stack.hosts[0].url}/api/graph/lifecycle"
        mailbox = {"mailbox": self._stack.identity.mailboxes[0]}
        with suppress(requests.RequestException):  # the host is being killed; the next turn tries again
            requests.post(url, params=mailbox, json={"value": [event]}, timeout=5)

    def _undisturbed(self, work: Callable[[], None]) -> None:
        """The harness's own calls to Graph meet the same faults as the app's; another turn will do."""
        with suppress(requests.RequestException, AdminError, KeyError):
            work()

    # The calm

    def _calm(self) -> None:
        self._control.disarm()
        self._postgres.probability = self._blob.probability = 0
        if self._mailbox.admin is not None:
            self._mailbox.admin.clear_faults()
            self._mailbox.admin.set_notification_faults()
        deadline = time.monotonic() + self._plan.patience
        while time.monotonic() < deadline:
            if self._all_ended():
                # A sweep that began before the last mail ended may still enqueue it once more.
                time.sleep(_SWEEP_SECONDS)
                if self._all_ended() and not self._release():
                    return
            self._calm_round()
            self._show(
                f"calming down: {len(self._sent)} mails sent, {self._places_ended} ended, "
                f"{unfinished(self._stack)} in work"
            )
            time.sleep(1)

    def _calm_round(self) -> None:
        """The faults have ended: the share that `_look_after_everything` keeps is none."""
        self._replace_the_dead()
        self._fire("maintain")
        self._count_ended()

    def _all_ended(self) -> bool:
        """Return True where inbox and queues are empty and, asked last, no process works on a message."""
        places = self._mailbox.places()
        in_inbox = sum(place.folder not in {QUARANTINE, "deleted"} for place in places.values())
        return (
            in_inbox == 0
            and self._places_ended >= len(self._sent)
            and queued(self._stack) == 0
            and unfinished(self._stack) == 0
        )

    def _release(self) -> int:
        """Release the mails in Quarantine over which processes died, as an operator would; return their number.

        With more deaths than mails, processes die five times over some mails. These have to be ingested after that.
        """
        crashed = [
            place
            for place in self._mailbox.places().values()
            if place.folder == QUARANTINE and Reason.CRASHED_REPEATEDLY in place.categories
        ]
        for place in crashed:
            self._mailbox.release(place)
        self._released += len(crashed)
        return len(crashed)

    def _counted_faults(self) -> tuple[dict[str, Mapping[str, int]], dict[str, int]]:
        faults: dict[str, Mapping[str, int]] = {
            "Postgres": dict(self._postgres.faults),
            "Blob": dict(self._blob.faults),
        }
        calls = {"Postgres": self._calls("sql."), "Blob": self._calls("blob."), "Graph": self._calls("graph.")}
        admin = self._mailbox.admin
        if admin is not None:
            faults["Graph"] = admin.fault_counters()
            faults["Notifications"] = {
                name: count
                for name, count in admin.notification_counters().items()
                if name in {"dropped", "doubled", "delayed", "reordered"}
            }
            calls["Notifications"] = admin.notification_counters().get("delivered", 0)
        return faults, calls


_SIMULATOR = (
    *("--retry-base", "0.3"),
    "--accept-duplicate-subscriptions",  # one that was made although the answer got lost is there twice
    "--changing-mime",  # a second attempt reads other bytes
    *("--requests-per-window", "10000000"),  # Outlook's 10,000 in ten minutes would make hours of ten thousand mails
)
_PLUGIN = ("--plugin", "tests.chaos.plugin:install")
