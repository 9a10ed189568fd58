"""The row on the webhook: a burst of notifications, beside an empty function on the same kind of host."""

import asyncio
import json
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from local.functions_host.rest import Client, open_session, parse_connection_string
from local.parts import ROOT
from local.processes import Child, json_object
from local.stack import Stack

EMPTY_APP = Path(__file__).parent / "empty_app"
_AT_A_TIME = 50
# The app's own setting for one function: https://learn.microsoft.com/azure/azure-functions/disable-function
WITHOUT_INGESTION = {"AzureWebJobs.ingest_message.Disabled": "true"}


def measure(stack: Stack, client_state: str, notifications: int, rounds: int) -> list[tuple[list[float], list[float]]]:
    """Milliseconds of every answer in each round: of our webhook, and of the empty function.

    Nobody ingests meanwhile, and the stack's own host is stopped for good: on Flex Consumption, functions with HTTP
    triggers have instances of their own. The queue is emptied after each burst.
    """
    stack.hosts[0].stop()
    host = stack.add_host(settings=WITHOUT_INGESTION)
    host.start()
    try:
        mailbox = stack.identity.mailboxes[0]
        url = f"{host.url}/api/graph/notifications?mailbox={mailbox}"
        bodies = [_notification(stack, client_state, mailbox) for _ in range(notifications)]
        with Child("the empty function", _empty_host(), log=stack.data / "empty-host.log", cwd=ROOT) as child:
            empty = child.wait_until_ready(json_object, timeout=30)["url"] + "/api/empty"
            for target in (url, empty):
                asyncio.run(_post(target, bodies[:_AT_A_TIME]))  # warm
            bursts = []
            for _ in range(rounds):
                theirs = asyncio.run(_post(empty, bodies))
                mine = asyncio.run(_post(url, bodies))
                asyncio.run(_empty_queue(stack))
                bursts.append((mine, theirs))
            return bursts
    finally:
        host.stop()
        stack.hosts.remove(host)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of a hundred do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


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


def _notification(stack: Stack, client_state: str, mailbox: str) -> bytes:
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


def _empty_host() -> list[str | Path]:
    return [sys.executable, "-m", "local.functions_host", "--app", EMPTY_APP]


async def _empty_queue(stack: Stack) -> None:
    account = parse_connection_string(stack.azurite.connection_string)
    async with open_session() as session:
        await Client(session, account, account.queue_endpoint).request("DELETE", "/ingest-messages/messages")
