"""The way of each request to Graph, alone or in a $batch: token, throttling, latency, handler."""

import asyncio
import base64
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from local.graph import clock
from local.graph.http.auth import Tokens
from local.graph.http.errors import GraphError, bad_request
from local.graph.http.odata import parse_query
from local.graph.http.routes import Routes, split_path
from local.graph.http.throttling import Throttle
from local.graph.http.traffic import TrafficLog
from local.graph.mail.exchange import Json, Request, Response
from local.graph.mail.store import Store

_MAX_BATCH = 20
_BATCH_AT_A_TIME = 4


class Gateway:
    """Requests in, answers out. `latency`: seconds from a request's arrival to its answer, for every request."""

    def __init__(
        self, *, routes: Routes, tokens: Tokens, throttle: Throttle, store: Store, traffic: TrafficLog
    ) -> None:
        self.counters: Counter[tuple[str, int]] = Counter()
        self.bytes_sent = 0
        self.latency = 0.0
        self._routes = routes
        self._tokens = tokens
        self._throttle = throttle
        self._store = store
        self._traffic = traffic
        self._random = random.Random(0)  # noqa: S311 - only shuffles the answers of a batch
        routes.add("POST", "$batch", self._batch)

    @contextlib.asynccontextmanager
    async def answer(self, request: Request, query: str) -> AsyncIterator[Response]:
        """Answer one request. It occupies its place in the throttle until the block is left."""
        pattern = "unknown"
        async with contextlib.AsyncExitStack() as stack:
            due = asyncio.get_running_loop().time() + self.latency
            try:
                self._tokens.check(request.headers.get("authorization"))
                route = self._routes.find(request.method, request.segments)
                pattern = route.pattern
                if "user" in route.parameters:
                    mailbox = self._store.mailbox(route.parameters["user"])
                    stack.enter_context(self._throttle.slot(mailbox.address))
                response = await route.handler(replace(request, parameters=route.parameters))
            except GraphError as error:
                response = error_response(error, request)
            if self.latency:
                await asyncio.sleep(due - asyncio.get_running_loop().time())
            self.note(request, query, response, pattern)
            yield response

    def note(self, request: Request, query: str, response: Response, pattern: str) -> None:
        """Count and log one exchange."""
        self.counters[f"{request.method} {pattern}", response.status] += 1
        self._traffic.exchange(request, query, response)

    async def _batch(self, request: Request) -> Response:
        """Up to 20 requests, 4 at a time, each counted by itself; answers come in any order.

        https://learn.microsoft.com/graph/json-batching
        """
        items = request.json_object().get("requests")
        if not isinstance(items, list) or not all(_is_step(item) for item in items):
            raise bad_request("Invalid batch payload format.")
        if not 1 <= len(items) <= _MAX_BATCH:
            raise bad_request(f"Number of batch request steps must be 1 to {_MAX_BATCH}.")
        identifiers = [str(item.get("id", "")) for item in items]
        if len(set(identifiers)) < len(items) or "" in identifiers:
            raise bad_request("Request Id has to be unique in a batch.")
        places = asyncio.Semaphore(_BATCH_AT_A_TIME)
        done: dict[str, asyncio.Future[int]] = {
            identifier: asyncio.get_running_loop().create_future() for identifier in identifiers
        }

        async def run(item: Json) -> Json:
            answer = await self._batch_item(request, item, done, places)
            done[str(item["id"])].set_result(answer["status"])
            return answer

        answers = await asyncio.gather(*(run(item) for item in items))
        self._random.shuffle(answers)
        return Response(json={"responses": answers})

    async def _batch_item(
        self, outer: Request, item: Json, done: dict[str, asyncio.Future[int]], places: asyncio.Semaphore
    ) -> Json:
        identifier = str(item["id"])
        inner = _inner_request(outer, item)
        for dependency in item.get("dependsOn") or ():
            position = list(done).index(dependency) if dependency in done else len(done)
            # Only on earlier ones: anything else would wait for itself.
            failed = position >= list(done).index(identifier)
            if failed or await done[dependency] >= 400:  # noqa: PLR2004 - HTTP's classes of errors
                error = GraphError(424, "FailedDependency", f"The request {dependency} failed.")
                return _batch_answer(identifier, error_response(error, inner))
        async with places, self.answer(inner, urlsplit(str(item.get("url", ""))).query) as response:
            return _batch_answer(identifier, response)


def error_response(error: GraphError, request: Request) -> Response:
    """Write the error as Graph writes it."""
    request_id = str(uuid.uuid4())
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "innerError": {
                "date": clock.now().strftime("%Y-%m-%dT%H:%M:%S"),
                "request-id": request_id,
                "client-request-id": request.headers.get("client-request-id", request_id),
            },
        }
    }
    return Response(status=error.status, json=body, headers={**error.headers, "request-id": request_id})


def _is_step(item: object) -> bool:
    return (
        isinstance(item, dict)
        and all(isinstance(item.get(name), str) for name in ("id", "method", "url"))
        and isinstance(item.get("headers") or {}, dict)
        and isinstance(item.get("dependsOn") or [], list)
    )


def _inner_request(outer: Request, item: Json) -> Request:
    parts = urlsplit(str(item.get("url", "")))
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    headers: dict[str, str] = {str(k).lower(): str(v) for k, v in (item.get("headers") or {}).items()}
    headers["authorization"] = outer.headers.get("authorization", "")
    return Request(
        method=str(item.get("method", "")).upper(),
        base_url=outer.base_url,
        path=path,
        segments=split_path(path),
        query=parse_query(parts.query),
        headers=headers,
        body=item.get("body"),
    )


def _batch_answer(identifier: str, response: Response) -> Json:
    body: Any = response.json
    if response.content is not None:
        body = base64.b64encode(response.content.read()).decode()
    kind = response.content_type if response.content is not None else "application/json"
    return {
        "id": identifier,
        "status": response.status,
        "headers": {**response.headers, "Content-Type": kind},
        "body": body,
    }
