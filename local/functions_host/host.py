"""The host: an app's functions, each with its listener, started and stopped together."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from local.functions_host import console, ncrontab, singleton, worker
from local.functions_host.errors import StartError
from local.functions_host.functions import (
    Function,
    HttpTrigger,
    QueueOutput,
    QueueTrigger,
    TimerTrigger,
    read_functions,
)
from local.functions_host.host_json import HostJson, read_host_json
from local.functions_host.http_trigger import Endpoint, HttpServer
from local.functions_host.invocation import Invoker
from local.functions_host.protos import TypedData
from local.functions_host.queue_trigger import POISON_SUFFIX, QueueListener, trigger_metadata
from local.functions_host.rest import Account, Client, open_session, parse_connection_string
from local.functions_host.routes import compile_route
from local.functions_host.settings import DEFAULT_CONNECTION, connection_string, read_settings
from local.functions_host.storage import Message, Observer, Queue, QueueStorage
from local.functions_host.timer_trigger import TimerListener, timer_info

_log = logging.getLogger("host")
# How long runs may take to end once the host was asked to stop.
DRAIN = timedelta(seconds=30)
# The real host doesn't monitor shorter schedules.
_LEAST_MONITORED = timedelta(minutes=1)
_ADMIN_REASON = "This function was programmatically called via the host APIs."


class Host:
    """One instance of a function app.

    `observers` are called around every operation on a queue; a plugin may add to them before `start`.
    """

    def __init__(
        self,
        *,
        app: Path,
        settings: Mapping[str, str],
        config: HostJson,
        functions: Sequence[Function],
        queue_lease: timedelta,
    ) -> None:
        self.app = app
        self.functions = functions
        self.observers: list[Observer] = []
        self._settings = settings
        self._config = config
        self._queue_lease = queue_lease
        self._began = time.monotonic()
        self._cleanup = AsyncExitStack()
        self._listeners: list[QueueListener | TimerListener] = []
        self._by_queue: dict[Queue, list[QueueListener]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, port: int) -> str:
        """Serve HTTP and start every listener; the base URL.

        Raises StartError for a binding that can't be run, and when the port is taken.
        """
        session = await self._cleanup.enter_async_context(open_session())
        storage = QueueStorage(session, self.observers)
        self._invoker = Invoker(
            queue_of=self._outputs(storage).__getitem__,
            enqueued=self._wake,
            message_encoding=self._config.queues.message_encoding,
            timeout=self._config.function_timeout,
        )
        active = [function for function in self.functions if not function.disabled]
        endpoints = self._endpoints(active)
        for function in active:
            match function.trigger:
                case QueueTrigger() as trigger:
                    self._add_queue_listener(function, trigger, storage)
                case TimerTrigger() as trigger:
                    self._add_timer_listener(function, trigger, session)
        self._server = HttpServer(
            endpoints,
            self.functions,
            invoker=self._invoker,
            fire=self._fire,
            status=self._status,
            drain=DRAIN,
        )
        url = f"http://127.0.0.1:{await self._server.start(port)}"
        self._announce(url, endpoints)
        self._tasks = [asyncio.create_task(listener.run()) for listener in self._listeners]
        return url

    async def stop(self) -> bool:
        """Take nothing more and let what runs end, for at most DRAIN; whether all of it did."""
        for listener in self._listeners:
            listener.stop()
        ending = [*self._tasks, asyncio.create_task(self._server.stop())]
        _, unfinished = await asyncio.wait(ending, timeout=DRAIN.total_seconds())
        await self._cleanup.aclose()
        return not unfinished

    def _outputs(self, storage: QueueStorage) -> dict[QueueOutput, Queue]:
        return {
            output: self._queue(storage, output.connection, output.queue, function)
            for function in self.functions
            for output in function.outputs
        }

    def _queue(self, storage: QueueStorage, connection: str, name: str, function: Function) -> Queue:
        return storage.queue(self._account(connection, f"function {function.name}, queue {name}"), name)

    def _account(self, connection: str, where: str) -> Account:
        text = connection_string(connection, self._settings, where=where)
        try:
            return parse_connection_string(text)
        except ValueError as error:
            raise StartError(f"{where}: the connection string is not valid: {error}") from error

    def _endpoints(self, functions: Sequence[Function]) -> list[Endpoint]:
        return [
            Endpoint(
                function=function,
                trigger=function.trigger,
                route=compile_route(self._config.route_prefix, function.trigger.route),
            )
            for function in functions
            if isinstance(function.trigger, HttpTrigger)
        ]

    def _add_queue_listener(self, function: Function, trigger: QueueTrigger, storage: QueueStorage) -> None:
        queue = self._queue(storage, trigger.connection, trigger.queue, function)
        poison = None
        if not trigger.queue.endswith(POISON_SUFFIX):
            poison = self._queue(storage, trigger.connection, trigger.queue + POISON_SUFFIX, function)
        listener = QueueListener(
            function,
            queue=queue,
            poison=poison,
            options=self._config.queues,
            lease=self._queue_lease,
            invoker=self._invoker,
            enqueued=self._wake,
        )
        self._listeners.append(listener)
        self._by_queue.setdefault(queue, []).append(listener)

    def _add_timer_listener(self, function: Function, trigger: TimerTrigger, session: aiohttp.ClientSession) -> None:
        try:
            schedule = ncrontab.parse(trigger.schedule)
        except ValueError as error:
            raise StartError(f"function {function.name}: {error}") from error
        where = f"function {function.name}, lock of the timer"
        account = self._account(DEFAULT_CONNECTION, where)
        blobs = Client(session, account, account.blob_endpoint)
        host = singleton.host_id(self.app, self._settings)
        interval = schedule.interval_after(datetime.now(UTC))
        monitored = trigger.use_monitor and (interval is None or interval >= _LEAST_MONITORED)
        self._listeners.append(
            TimerListener(
                function,
                schedule=schedule,
                lock=singleton.Lock(blobs, host, function.name),
                monitor=singleton.ScheduleMonitor(blobs, host, function.name) if monitored else None,
                run_on_startup=trigger.run_on_startup,
                invoker=self._invoker,
            )
        )

    def _wake(self, queue: Queue) -> None:
        for listener in self._by_queue.get(queue, ()):
            listener.wake()

    async def _fire(self, function: Function, text: str) -> None:
        """Run a timer or queue function for the admin endpoint, past its schedule or queue: not retried."""
        match function.trigger:
            case TimerTrigger():
                await self._invoker.run(function, timer_info(None, past_due=False), {}, reason=_ADMIN_REASON)
            case QueueTrigger():
                now = datetime.now(UTC)
                message = Message(
                    id=str(uuid.uuid4()),
                    text=text,
                    pop_receipt="",
                    dequeue_count=0,
                    inserted_on=now,
                    expires_on=now,
                    next_visible_on=now,
                )
                await self._invoker.run(
                    function, TypedData(string=text), trigger_metadata(message, text), reason=_ADMIN_REASON
                )

    def _status(self) -> dict[str, Any]:
        return {
            "id": self.app.name,
            "state": "Running",
            "version": "4 (local stand-in)",
            "processUptime": round((time.monotonic() - self._began) * 1000),
        }

    def _announce(self, url: str, endpoints: Sequence[Endpoint]) -> None:
        routes = {endpoint.function.name: endpoint for endpoint in endpoints}
        _log.info("Functions:")
        for function in self.functions:
            endpoint = routes.get(function.name)
            if function.disabled:
                what = "disabled"
            elif endpoint is not None:
                prefix = f"{self._config.route_prefix}/" if self._config.route_prefix else ""
                methods = ",".join(sorted(endpoint.trigger.methods)) or "ALL"
                what = f"[{methods}] {url}/{prefix}{endpoint.route.template}"
            else:
                what = _describe(function)
            _log.info("    %s: %s", function.name, what)


def _describe(function: Function) -> str:
    match function.trigger:
        case QueueTrigger(queue=queue):
            return f"queueTrigger {queue}"
        case TimerTrigger(schedule=schedule):
            return f"timerTrigger {schedule}"
        case HttpTrigger(route=route):
            return f"httpTrigger {route}"


async def load(app: Path, *, queue_lease: timedelta) -> Host:
    """Read an app's settings and host.json and let the worker index it. Once per process.

    The settings become this process's environment, as they do for the real worker. Raises StartError.
    """
    app = app.resolve()  # noqa: ASYNC240 - nothing else runs yet
    settings = read_settings(app, os.environ)
    os.environ.update(settings)
    config = read_host_json(app, settings)
    console.set_up(host_level=config.default_log_level, function_level=config.function_log_level)
    functions = read_functions(await worker.load(app), settings, only=config.only_functions)
    if not functions:
        raise StartError(f"no functions found in {app}: define some in function_app.py")
    return Host(app=app, settings=settings, config=config, functions=functions, queue_lease=queue_lease)
