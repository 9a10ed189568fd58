"""The rows on the webhook: a burst of notifications, beside an empty function with the same queue output."""

import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from local.functions_host.rest import Client, open_session, parse_connection_string
from local.processes import ROOT, Child, json_object
from local.stack import Stack

_EMPTY_HOST: list[str | Path] = [
    sys.executable,
    "-m",
    "local.functions_host",
    "--app",
    Path(__file__).parent / "empty_app",
]
_AT_A_TIME = 50
# The app's own setting for one function: https://learn.microsoft.com/azure/azure-functions/disable-function
WITHOUT_INGESTION = {f"AzureWebJobs.{name}.Disabled": "true" for name in ("ingest_message", "ingest_backlog")}
# On Flex Consumption, functions with HTTP triggers have instances of their own.
_WITHOUT_OTHERS = WITHOUT_INGESTION | {
    f"AzureWebJobs.{name}.Disabled": "true"
    for name in (
        *("ingest_message_poison", "ingest_backlog_poison", "subscription_event", "scan_result"),
        *("maintain", "examine", "scan", "answer"),
    )
}
_THREADS = "PYTHON_THREADPOOL_THREAD_COUNT"  # of the worker of both, so that the functions are the only difference


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Milliseconds of the answers to one burst: 99 of 100 took at most `p99`."""

    p99: float
    longest: float


@dataclass(frozen=True, kw_only=True)
class Burst:
    """The answers of our webhook and of the empty function, an entry for each burst."""

    ours: list[Answers]
    empty: list[Answers]


def measure(stack: Stack, client_state: str, notifications: int, rounds: int) -> Burst:
    """Send bursts to the webhook and to an empty function that also writes one queue message for each.

    In each round the empty function comes first, the webhook twice, then the empty function again. What grows or wanes
    during a round meets both. The first burst of each only warms. The queue is emptied after each burst. The stack's
    own host is stopped for good.
    """
    stack.hosts[0].stop()
    host = stack.add_host(settings=_WITHOUT_OTHERS)
    host.start()
    try:
        mailbox = stack.identity.mailboxes[0]
        url = f"{host.url}/api/graph/notifications?mailbox={mailbox}"
        bodies = [notification(stack, client_state, mailbox) for _ in range(notifications)]
        environment = os.environ | {
            "AzureWebJobsStorage": stack.azurite.connection_string,
            _THREADS: host.environment[_THREADS],
        }
        log = stack.data / "empty-host.log"
        with Child("the empty function", _EMPTY_HOST, env=environment, log=log, cwd=ROOT) as child:
            empty = child.wait_until_ready(json_object, timeout=30)["url"] + "/api/empty"
            burst = Burst(ours=[], empty=[])
            results = {url: ("ingest-messages", burst.ours), empty: ("bench-empty", burst.empty)}
            for number, target in enumerate([empty, url] + rounds * [empty, url, url, empty]):
                answers = answers_of(asyncio.run(_post(target, bodies)))
                queue, found = results[target]
                if number >= len(results):
                    found.append(answers)
                asyncio.run(_clear(stack, queue))
            return burst
    finally:
        host.stop()
        stack.hosts.remove(host)


def answers_of(milliseconds: Sequence[float]) -> Answers:
    """Return what the milliseconds of single answers come to."""
    return Answers(p99=statistics.quantiles(milliseconds, n=100, method="inclusive")[98], longest=max(milliseconds))


async def _post(url: str, bodies: Sequence[bytes]) -> list[float]:
    waiting = iter(bodies)
    times: list[float] = []

    async def send(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            began = time.perf_counter()
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                answer.raise_for_status()
                await answer.read()
            times.append(1000 * (time.perf_counter() - began))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_A_TIME)) as session:
        await asyncio.gather(*(send(session) for _ in range(_AT_A_TIME)))
    return times


def notification(stack: Stack, client_state: str, mailbox: str) -> bytes:
    """Return the body of a notification of a message that does not exist."""
    message = uuid.uuid4().hex + uuid.uuid4().hex
    resource = f"Users/{mailbox}/Messages/{message}"
    item = {
        "subscriptionId": str(uuid.uuid4()),
        "subscriptionExpirationDateTime": "2099-01-01T00:00:00Z",
        "clientState": client_state,
        "changeType": "created",
        "tenantId": stack.identity.tenant_id,
        "resource": resource,
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.id": resource, "id": message},
    }
    return json.dumps({"value": [item]}).encode()


async def _clear(stack: Stack, queue: str) -> None:
    account = parse_connection_string(stack.azurite.connection_string)
    async with open_session() as session:
        await Client(session, account, account.queue_endpoint).request("DELETE", f"/{queue}/messages")
