"""Timer triggers: a schedule, run by one instance at a time, with what was missed made up for.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

import asyncio
import json
import logging
from datetime import UTC, datetime

from local.functions_host.console import brief
from local.functions_host.functions import Function
from local.functions_host.invocation import Invoker
from local.functions_host.ncrontab import Schedule
from local.functions_host.protos import TypedData
from local.functions_host.singleton import LEASE_SECONDS, Lock, ScheduleMonitor, Status
from local.functions_host.waiting import happens_within

_log = logging.getLogger("host")
_RENEW_SECONDS = LEASE_SECONDS / 3


class TimerListener:
    """Runs one function on its schedule, while this instance holds the function's lock."""

    def __init__(
        self,
        function: Function,
        *,
        schedule: Schedule,
        lock: Lock,
        monitor: ScheduleMonitor | None,
        run_on_startup: bool,
        invoker: Invoker,
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._lock = lock
        self._monitor = monitor
        self._run_on_startup = run_on_startup
        self._invoker = invoker
        # Ends every wait: the host stops, or the lock is lost.
        self._interrupt = asyncio.Event()
        self._stopping = False
        self._unreachable = False

    def stop(self) -> None:
        """Start no more runs; `run` ends when one in work has ended."""
        self._stopping = True
        self._interrupt.set()

    async def run(self) -> None:
        """Compete for the lock and follow the schedule until stopped. Never raises."""
        while not self._stopping:
            self._interrupt.clear()
            try:
                if await self._lock.acquire():
                    self._unreachable = False
                    await self._hold()
            except Exception as error:  # noqa: BLE001 - storage is down; it is tried again below
                if not self._unreachable:
                    _log.warning("Timer '%s' waits for its storage: %s", self._function.name, brief(error))
                self._unreachable = True
            if not self._stopping:
                await happens_within(self._interrupt, _RENEW_SECONDS)

    async def _hold(self) -> None:
        renewal = asyncio.create_task(self._keep_lock())
        try:
            await self._follow_schedule()
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            await self._lock.release()

    async def _keep_lock(self) -> None:
        """Renew the lock; interrupt when it is lost, or was not renewed for so long that it may be."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < LEASE_SECONDS - _RENEW_SECONDS:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                if not await self._lock.renew():
                    break
                renewed = loop.time()
            except Exception as error:  # noqa: BLE001 - the next renewal may get through
                _log.warning("The lock of timer '%s' could not be renewed: %s", self._function.name, brief(error))
        self._interrupt.set()

    async def _follow_schedule(self) -> None:
        status = await self._monitor.read() if self._monitor else None
        missed = status is not None and datetime.fromisoformat(status["Next"]) < datetime.now(UTC)
        if self._run_on_startup or missed:
            status = await self._fire(status, past_due=missed)
        elif status is None:
            status = await self._record(last=None)
        while not self._interrupt.is_set():
            now = datetime.now(UTC)
            due = self._schedule.next_after(now)
            if due is None:
                await self._interrupt.wait()
            elif not await happens_within(self._interrupt, (due - now).total_seconds()):
                status = await self._fire(status, past_due=False)

    async def _fire(self, status: Status | None, *, past_due: bool) -> Status | None:
        now = datetime.now(UTC)
        info = timer_info(status, past_due=past_due)
        await self._invoker.run(self._function, info, {}, reason=f"Timer fired at {now.isoformat()}")
        return await self._record(last=now)

    async def _record(self, *, last: datetime | None) -> Status | None:
        following = self._schedule.next_after(datetime.now(UTC))
        if self._monitor is None or following is None:
            return None
        try:
            return await self._monitor.write(last=last, following=following)
        except Exception as error:  # noqa: BLE001 - the schedule goes on; at worst a run is made up for twice
            _log.warning("The run of timer '%s' could not be recorded: %s", self._function.name, brief(error))
            return None


def timer_info(status: Status | None, *, past_due: bool) -> TypedData:
    """Build what a timer function gets, as the real host serializes TimerInfo."""
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return TypedData(json=json.dumps(info))
