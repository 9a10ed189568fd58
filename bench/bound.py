"""The limit of four requests at a time: only the requests that a mail needs, and no work on the answers.

`python -m bench.bound --stack stack.json` takes every mail out of the inboxes, four requests at a time for each inbox.
"""

import argparse
import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import msal

REQUESTS_PER_MAIL = 2  # the MIME, and DELETE
PLACES = 4  # https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits


def arithmetic_rate(latency_milliseconds: float, mailboxes: int = 1) -> float:
    """Return mails a second if each request takes exactly the latency and nothing else takes time."""
    return mailboxes * PLACES / (REQUESTS_PER_MAIL * latency_milliseconds / 1000)


async def drain(stack: dict[str, Any]) -> dict[str, float]:
    """Take all mails out of the inboxes. Returns the number of `mails` and the `seconds`."""
    tls = ssl.create_default_context(cafile=stack["ca_file"])
    headers = {"Authorization": f"Bearer {_token(stack)}", "Prefer": 'IdType="ImmutableId"'}
    connector = aiohttp.TCPConnector(ssl=tls, limit=PLACES * len(stack["mailboxes"]))
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        counts = []
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for mailbox in stack["mailboxes"]:
                base = f"{stack['graph_base_url']}/users/{mailbox}"
                ids = await _list(session, base)
                counts.append(len(ids))
                waiting = iter(ids)
                for _ in range(PLACES):
                    group.create_task(_take(session, base, waiting))
    return {"mails": sum(counts), "seconds": time.perf_counter() - began}


async def _list(session: aiohttp.ClientSession, base: str) -> list[str]:
    async with session.get(f"{base}/mailFolders('inbox')/messages?$select=id&$top=1000") as answer:
        return [item["id"] for item in (await answer.json())["value"]]


async def _take(session: aiohttp.ClientSession, base: str, waiting: Any) -> None:  # noqa: ANN401 - an iterator of ids
    for message in waiting:
        for method, path in (("GET", "/$value"), ("DELETE", "")):
            async with session.request(method, f"{base}/messages/{message}{path}") as answer:
                answer.raise_for_status()
                await answer.read()


def _token(stack: dict[str, Any]) -> str:
    client = msal.ConfidentialClientApplication(
        stack["client_id"],
        client_credential=stack["client_secret"],
        authority=f"{stack['authority_host']}/{stack['tenant_id']}",
        instance_discovery=False,
        verify=stack["ca_file"],
    )
    host = stack["graph_base_url"].removesuffix("/v1.0")
    return str(client.acquire_token_for_client([f"{host}/.default"])["access_token"])


def main() -> None:
    """Drain once and print what it took as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.bound", description=__doc__)
    parser.add_argument("--stack", type=Path, required=True, help="the stack.json of a running stack")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(drain(json.loads(options.stack.read_text())))))


if __name__ == "__main__":
    main()
