"""One run of a function: announce it, let the worker do it, write its outputs, say how it went."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from local.functions_host import worker
from local.functions_host.console import brief
from local.functions_host.functions import RETURN, Function, QueueOutput
from local.functions_host.protos import TypedData
from local.functions_host.rest import StorageDownError, StorageError
from local.functions_host.storage import Queue, encode

_log = logging.getLogger("host")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a run: succeeded means that the function returned and its outputs are written."""

    succeeded: bool
    return_value: TypedData | None = None


class Invoker:
    """Runs functions.

    `queue_of` finds the queue of an output; `enqueued` is called with each queue that got a message from here.
    """

    def __init__(
        self,
        *,
        queue_of: Callable[[QueueOutput], Queue],
        enqueued: Callable[[Queue], None],
        message_encoding: str,
        timeout: timedelta | None,
    ) -> None:
        self._queue_of = queue_of
        self._enqueued = enqueued
        self._message_encoding = message_encoding
        self._timeout = timeout

    async def run(
        self, function: Function, value: TypedData, metadata: Mapping[str, TypedData], *, reason: str
    ) -> Outcome:
        """Run a function with its trigger's value and metadata. A failure is logged and returned, never raised."""
        invocation_id = str(uuid.uuid4())
        name = f"Functions.{function.name}"
        _log.info("Executing '%s' (Reason='%s', Id=%s)", name, reason, invocation_id)
        began = time.perf_counter()
        try:
            outcome = await self._run(function, invocation_id, value, metadata)
        except (StorageError, StorageDownError) as error:
            _log.error("An output of %s could not be written (Id=%s): %s", name, invocation_id, brief(error))
            outcome = Outcome(succeeded=False)
        except Exception:  # noqa: BLE001 - a run ends as failed for each kind of error, and the host goes on
            _log.exception("Exception while executing function: %s (Id=%s)", name, invocation_id)
            outcome = Outcome(succeeded=False)
        _log.log(
            logging.INFO if outcome.succeeded else logging.ERROR,
            "Executed '%s' (%s, Id=%s, Duration=%dms)",
            name,
            "Succeeded" if outcome.succeeded else "Failed",
            invocation_id,
            (time.perf_counter() - began) * 1000,
        )
        return outcome

    async def _run(
        self, function: Function, invocation_id: str, value: TypedData, metadata: Mapping[str, TypedData]
    ) -> Outcome:
        limit = self._timeout.total_seconds() if self._timeout else None
        try:
            async with asyncio.timeout(limit):
                result = await worker.invoke(
                    function.function_id, invocation_id, function.trigger.parameter, value, metadata
                )
        except TimeoutError:
            # The real host kills the worker's process here. A thread can't be killed: it runs on, unheard.
            _log.error(
                "Timeout value of %s exceeded by function 'Functions.%s' (Id=%s)",
                self._timeout,
                function.name,
                invocation_id,
            )
            return Outcome(succeeded=False)
        if result.error is not None:
            _log.error("%s", result.error.stack_trace or result.error.message)
            return Outcome(succeeded=False)
        await self._write_outputs(function, result)
        return Outcome(succeeded=True, return_value=result.return_value)

    async def _write_outputs(self, function: Function, result: worker.Result) -> None:
        puts = []
        for output in function.outputs:
            data = result.return_value if output.parameter == RETURN else result.outputs.get(output.parameter)
            queue = self._queue_of(output)
            puts += [self._put(queue, body) for body in queue_messages(data)]
        # All of them are waited for, so that none is still on its way when the run is called failed.
        for done in await asyncio.gather(*puts, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done

    async def _put(self, queue: Queue, body: str | bytes) -> None:
        """Notify the listener of the queue as soon as each message is written, as the real host does."""
        await queue.put(encode(body, self._message_encoding))
        self._enqueued(queue)


def queue_messages(data: TypedData | None) -> list[str | bytes]:
    """Split a queue output into messages, as the real host does.

    A JSON array, be it a list that the function set or a string that looks like one, becomes a message for each
    item: strings as they are, anything else as JSON.
    """
    kind = data.WhichOneof("data") if data is not None else None
    if data is None or kind is None:
        return []
    value: str | bytes = getattr(data, kind)
    if isinstance(value, bytes):
        return [value]
    if kind not in {"string", "json"}:
        return [str(value)]
    try:
        items = json.loads(value)
    except ValueError:
        return [value]
    if not isinstance(items, list):
        return [value]
    return [item if isinstance(item, str) else json.dumps(item) for item in items if item is not None]
