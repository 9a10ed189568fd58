"""The HTTP side of the host: functions with an HTTP trigger, and the admin endpoints."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

from aiohttp import web

from local.functions_host.errors import StartError
from local.functions_host.functions import Function, HttpTrigger, QueueTrigger, TimerTrigger
from local.functions_host.invocation import Invoker
from local.functions_host.protos import RpcHttp, TypedData
from local.functions_host.routes import Route

_log = logging.getLogger("host")
# FUNCTIONS_REQUEST_BODY_SIZE_LIMIT of the real host
_MOST_BODY = 100 * 1024 * 1024
# Kestrel's limits, in bytes: a request line of 8 KiB and headers of 32 KiB
_MOST_LINE = 8 * 1024
_MOST_FIELD = 32 * 1024
_REASON = "This function was programmatically called via the host APIs."

Fire = Callable[[Function, str], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A function and the route that it answers on."""

    function: Function
    trigger: HttpTrigger
    route: Route


class HttpServer:
    """Serves the endpoints and `/admin`.

    `fire` runs a function that has no HTTP trigger, with an input; `status` makes the body of
    /admin/host/status; `drain` is how long `stop` waits for requests that are being answered.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        functions: Sequence[Function],
        *,
        invoker: Invoker,
        fire: Fire,
        status: Callable[[], Mapping[str, Any]],
        drain: timedelta,
    ) -> None:
        self._endpoints = sorted(endpoints, key=lambda endpoint: endpoint.route.order)
        self._functions = {function.name.lower(): function for function in functions}
        self._invoker = invoker
        self._fire = fire
        self._status = status
        self._fired: set[asyncio.Task[None]] = set()
        app = web.Application(client_max_size=_MOST_BODY)
        app.router.add_post("/admin/functions/{name}", self._admin_fire)
        app.router.add_get("/admin/functions", self._admin_functions)
        app.router.add_get("/admin/host/status", self._admin_status)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            max_line_size=_MOST_LINE,
            max_field_size=_MOST_FIELD,
            shutdown_timeout=drain.total_seconds(),
        )

    async def start(self, port: int) -> int:
        """Listen on loopback; the port, which is a free one where 0 was asked for. Raises StartError."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        except OSError as error:
            raise StartError(f"it can't listen on port {port}: {error.strerror}") from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Accept nothing more, and let requests and fired functions end, for a bounded time."""
        await self._runner.cleanup()
        if self._fired:
            await asyncio.wait(self._fired)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw_path = request.raw_path.partition("?")[0]
        for endpoint in self._endpoints:
            # Another method than the function's is not found, never 405:
            # https://github.com/Azure/azure-functions-host/issues/10098
            if endpoint.trigger.methods and request.method not in endpoint.trigger.methods:
                continue
            if (parameters := endpoint.route.match(raw_path)) is not None:
                return await self._run(endpoint.function, request, parameters)
        return web.Response(status=404)

    async def _run(self, function: Function, request: web.Request, parameters: dict[str, str]) -> web.Response:
        value = TypedData(
            http=RpcHttp(
                method=request.method,
                url=f"{request.scheme}://{request.host}{request.raw_path}",
                headers=_headers(request),
                # The real host leaves parameters without a value out, and joins repeated ones.
                query={name: ",".join(request.query.getall(name)) for name in request.query if request.query[name]},
                params=parameters,
                body=TypedData(bytes=await request.read()),
            )
        )
        outcome = await self._invoker.run(function, value, {}, reason=_REASON)
        if not outcome.succeeded:
            return web.Response(status=500)
        return _response(outcome.return_value)

    async def _admin_fire(self, request: web.Request) -> web.Response:
        """Run a function that is not triggered by HTTP.

        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        function = self._functions.get(request.match_info["name"].lower())
        if function is None:
            return web.Response(status=404)
        if isinstance(function.trigger, HttpTrigger):
            return _refused(f"{function.name} has an HTTP trigger: call its own URL")
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            return _refused("the body is not valid JSON")
        if not isinstance(body, dict) or not isinstance(body.get("input") or "", str):
            return _refused('the body must be an object like {"input": "..."}')
        task = asyncio.create_task(self._fire(function, body.get("input") or ""))
        self._fired.add(task)
        task.add_done_callback(self._fired.discard)
        return web.Response(status=202)

    async def _admin_functions(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                {"name": function.name, "trigger": _kind(function), "isDisabled": function.disabled}
                for function in self._functions.values()
            ]
        )

    async def _admin_status(self, _request: web.Request) -> web.Response:
        return web.json_response(self._status())


def _kind(function: Function) -> str:
    return {HttpTrigger: "httpTrigger", QueueTrigger: "queueTrigger", TimerTrigger: "timerTrigger"}[
        type(function.trigger)
    ]


def _refused(message: str) -> web.Response:
    return web.json_response({"message": message}, status=400)


def _headers(request: web.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


def _response(value: TypedData | None) -> web.Response:
    kind = value.WhichOneof("data") if value is not None else None
    if value is None or kind is None:
        return web.Response(status=204)
    if kind != "http":
        return web.Response(text=str(getattr(value, kind)))
    http = value.http
    body = getattr(http.body, http.body.WhichOneof("data") or "bytes") or b""
    response = web.Response(status=int(http.status_code), body=body.encode() if isinstance(body, str) else body)
    for name, text in http.headers.items():
        # The length follows from the body.
        if name.lower() != "content-length":
            response.headers[name] = text
    for cookie in http.cookies or ():
        response.headers.add("Set-Cookie", _set_cookie(cookie))
    return response


def _set_cookie(cookie: Any) -> str:  # noqa: ANN401 - an RpcHttpCookie; each of its fields may be missing
    jar: SimpleCookie = SimpleCookie()
    jar[cookie.name] = cookie.value
    morsel = jar[cookie.name]
    for attribute, field in (("domain", cookie.domain), ("path", cookie.path), ("max-age", cookie.max_age)):
        if field is not None and field.value:
            morsel[attribute] = field.value
    for attribute, field in (("secure", cookie.secure), ("httponly", cookie.http_only)):
        morsel[attribute] = bool(field and field.value)
    return morsel.OutputString()
