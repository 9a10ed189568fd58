"""Queue triggers: polling, leases, retries and poison queues as the real host's extension has them.

The rules are those of Microsoft.Azure.WebJobs.Extensions.Storage.Queues (QueueListener, QueueProcessor) in
https://github.com/Azure/azure-sdk-for-net.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from local.functions_host.console import brief
from local.functions_host.functions import Function
from local.functions_host.host_json import QueueOptions
from local.functions_host.invocation import Invoker
from local.functions_host.protos import TypedData
from local.functions_host.storage import Message, Queue, decode
from local.functions_host.waiting import Backoff, happens_within

_log = logging.getLogger("host")
POISON_SUFFIX = "-poison"


class QueueListener:
    """Runs one function for the messages of one queue.

    `poison` is None for a queue that is a poison queue itself: what fails there stays invisible for its lease
    and is tried again, up to maxDequeueCount.
    """

    def __init__(
        self,
        function: Function,
        *,
        queue: Queue,
        poison: Queue | None,
        options: QueueOptions,
        lease: timedelta,
        invoker: Invoker,
        enqueued: Callable[[Queue], None],
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._options = options
        self._lease = lease
        self._invoker = invoker
        self._enqueued = enqueued
        self._wake = asyncio.Event()
        self._stopping = False
        self._unreadable = False

    def wake(self) -> None:
        """Look at the queue now: a message was added by this host."""
        self._wake.set()

    def stop(self) -> None:
        """Take no more messages; `run` ends when those in work have ended."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Poll until stopped. Never raises: a queue that is down is tried again with growing distance."""
        working: set[asyncio.Task[None]] = set()
        backoff = Backoff(self._options.max_polling_interval)
        while not self._stopping:
            self._wake.clear()
            messages = await self._get()
            if not messages:
                await happens_within(self._wake, backoff.next().total_seconds())
                continue
            backoff.reset()
            for message in messages:
                task = asyncio.create_task(self._process(message))
                working.add(task)
                task.add_done_callback(working.discard)
            while len(working) > self._options.new_batch_threshold:
                await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        if working:
            await asyncio.wait(working)

    async def _get(self) -> list[Message]:
        try:
            messages = await self._queue.get(limit=self._options.batch_size, lease=self._lease)
        except Exception as error:  # noqa: BLE001 - the host must outlive each kind of error
            if not self._unreadable:
                _log.warning("Queue '%s' can't be read, trying again: %s", self._queue.name, brief(error))
            self._unreadable = True
            return []
        if self._unreadable:
            _log.info("Queue '%s' can be read again", self._queue.name)
        self._unreadable = False
        return messages

    async def _process(self, message: Message) -> None:
        try:
            if message.dequeue_count > self._options.max_dequeue_count:
                await self._to_poison(message)
                return
            try:
                text = decode(message.text, self._options.message_encoding)
            except ValueError as error:
                _log.warning("Message %s of queue '%s' can't be decoded: %s", message.id, self._queue.name, error)
                await self._to_poison(message)
                return
            succeeded = await self._run(message, text)
            if succeeded:
                await self._queue.delete(message)
            elif self._poison is None:
                pass  # invisible until its lease runs out, which keeps it from failing in a tight loop
            elif message.dequeue_count >= self._options.max_dequeue_count:
                await self._to_poison(message)
            else:
                await self._queue.release(message, self._options.visibility_timeout)
        except Exception as error:  # noqa: BLE001 - storage is down: the message comes back when its lease runs out
            _log.warning(
                "Message %s of queue '%s' could not be settled and will be seen again: %s",
                message.id,
                self._queue.name,
                brief(error),
            )

    async def _run(self, message: Message, text: str) -> bool:
        done = asyncio.Event()
        renewal = asyncio.create_task(self._keep(message, done))
        try:
            outcome = await self._invoker.run(
                self._function,
                TypedData(string=text),
                trigger_metadata(message, text),
                reason=f"New queue message detected on '{self._queue.name}'.",
            )
        finally:
            # Not cancelled: a renewal cut off on its way could change the pop receipt behind our back.
            done.set()
            await renewal
        return outcome.succeeded

    async def _keep(self, message: Message, done: asyncio.Event) -> None:
        """Renew the lease at half of its time, sooner after a failure, until the work is done."""
        normal = self._lease.total_seconds() / 2
        wait = normal
        while True:
            if await happens_within(done, wait):
                return
            try:
                if not await self._queue.renew(message, self._lease):
                    _log.warning("Message %s of queue '%s' is no longer ours", message.id, self._queue.name)
                    return
                wait = normal
            except Exception as error:  # noqa: BLE001 - the work goes on; the next renewal may get through
                _log.warning("Message %s could not be renewed: %s", message.id, brief(error))
                wait = normal / 4

    async def _to_poison(self, message: Message) -> None:
        if self._poison is None:
            return
        _log.warning(
            "Message %s has been dequeued %d times. Moving message to queue '%s'.",
            message.id,
            message.dequeue_count,
            self._poison.name,
        )
        await self._poison.put(message.text, operation="queue.poison")
        self._enqueued(self._poison)
        await self._queue.delete(message)


def trigger_metadata(message: Message, text: str) -> dict[str, TypedData]:
    """Build what the real host sends beside the text of a message.

    Top-level keys of a JSON object come last, and so shadow the message's own, as they do there.
    """
    own = {
        "QueueTrigger": TypedData(string=text),
        "Id": TypedData(string=message.id),
        "PopReceipt": TypedData(string=message.pop_receipt),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "InsertionTime": _time(message.inserted_on),
        "ExpirationTime": _time(message.expires_on),
        "NextVisibleTime": _time(message.next_visible_on),
    }
    return own | dict(_body_keys(text))


def _body_keys(text: str) -> Mapping[str, TypedData]:
    if not text.lstrip().startswith("{"):
        return {}
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return {
        key: TypedData(string=value) if isinstance(value, str) else TypedData(json=json.dumps(value))
        for key, value in body.items()
        if value is not None
    }


def _time(moment: datetime) -> TypedData:
    return TypedData(json=json.dumps(moment.astimezone(UTC).isoformat()))
