"""HTTPS: aiohttp's requests → Graph's, answers → bytes on the wire; broken connections on purpose."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from aiohttp import web

from local.graph.http.auth import EntraId
from local.graph.http.errors import bad_request
from local.graph.http.faults import Faults, Injection, spoil, without_header
from local.graph.http.gateway import Gateway, error_response
from local.graph.http.odata import parse_query
from local.graph.http.routes import split_path
from local.graph.mail.content import Content, Patched
from local.graph.mail.exchange import IMMUTABLE_ID, Request, Response
from local.graph.mail.representation import MIME_CONTENT_TYPE

_VERSION = "/v1.0"
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_DIAGNOSTIC = '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"0","ScaleUnit":"000","RoleInstance":"SIM"}}'
# Small contents are sent in one piece; larger ones are read in a thread, block by block, and sent chunked, as
# Graph does with $value.
_ONE_PIECE = 256 * 1024


class GraphServer:
    """The handler of every request on the Graph port."""

    def __init__(self, *, gateway: Gateway, entra: EntraId, faults: Faults) -> None:
        self._gateway = gateway
        self._entra = entra
        self._faults = faults

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """One request: Graph's below /v1.0, everything else is Entra ID's."""
        raw_path, _, query = http.raw_path.partition("?")
        if not raw_path.lower().startswith(_VERSION + "/"):
            answer = await self._entra.handle(http)
            return answer or web.json_response(
                {"error": {"code": "BadRequest", "message": f"Invalid version: {raw_path.split('/')[1]}"}},
                status=400,
            )
        path = raw_path[len(_VERSION) :]
        request = Request(
            method=http.method,
            base_url=f"https://{http.host}{_VERSION}",
            path=path,
            segments=split_path(path),
            query=parse_query(query),
            headers=_headers(http),
        )
        injection = self._faults.choose(http.method, unquote(path))
        if injection is not None:
            if injection.breakage == "reset":
                return _broken(http)
            if injection.breakage == "bare_500":
                await http.read()
                self._gateway.note(request, query, Response(status=500), "injected")
                return await _bare_error(http)
            if injection.seconds:
                await asyncio.sleep(injection.seconds)
            if injection.error is not None:
                await http.read()
                response = error_response(injection.error, request)
                self._gateway.note(request, query, response, "injected")
                return await _send(http, request, response, None)
        try:
            request = await _with_body(http, request)
        except ValueError:
            response = error_response(bad_request("Unable to read JSON request payload."), request)
            return await _send(http, request, response, None)
        async with self._gateway.answer(request, query) as response:
            sent = await _send(http, request, response, injection)
            self._gateway.bytes_sent += sent.content_length or (response.content.length if response.content else 0)
            return sent


def _headers(http: web.BaseRequest) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        lower = name.lower()
        # Several Prefer lines are one list.
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers


async def _with_body(http: web.BaseRequest, request: Request) -> Request:
    """Read the body into the request: JSON, or the text of a mail as bytes. ValueError where it is not JSON."""
    if not http.can_read_body:
        return request
    raw = await http.read()
    if not raw:
        return request
    if http.content_type == "text/plain":
        return replace(request, body=raw)
    return replace(request, body=json.loads(raw))


async def _send(
    http: web.BaseRequest, request: Request, response: Response, injection: Injection | None
) -> web.StreamResponse:
    breakage = injection.breakage if injection is not None else None
    if breakage == "lost":
        return _broken(http)
    if isinstance(response.json, dict):
        spoil(response.json, breakage)
    request_id = response.headers.get("request-id") or str(uuid.uuid4())
    headers = {
        "Cache-Control": "private",
        "Strict-Transport-Security": "max-age=31536000",
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
        "x-ms-ags-diagnostic": _DIAGNOSTIC,
        **response.headers,
    }
    if request.immutable_ids and response.status < 400:  # noqa: PLR2004 - HTTP's classes of errors
        headers["Preference-Applied"] = IMMUTABLE_ID
    if response.content is not None:
        headers["Content-Type"] = response.content_type
        if breakage == "empty":
            body = b""
        elif breakage == "headerless":
            body = without_header(response.content.read())
        elif response.content.length > _ONE_PIECE:
            return await _stream(http, response.content, headers, truncate=breakage == "truncate")
        else:
            body = response.content.read()
    elif response.json is not None:
        headers["Content-Type"] = _JSON_TYPE
        body = _ENCODE(response.json).encode("utf-8", "replace")
    else:
        body = b""
    if breakage == "truncate":
        return await _half(http, response.status, headers, body)
    return web.Response(status=response.status, headers=headers, body=body)


async def _stream(
    http: web.BaseRequest, content: Content | Patched, headers: Mapping[str, str], *, truncate: bool
) -> web.StreamResponse:
    answer = web.StreamResponse(headers=headers)
    answer.enable_chunked_encoding()
    await answer.prepare(http)
    left = content.length // 2 if truncate else content.length
    blocks = content.blocks()
    while left > 0 and (block := await asyncio.to_thread(next, blocks, b"")):
        await answer.write(block[:left])
        left -= len(block)
    if truncate:
        return _broken(http)
    await answer.write_eof()
    return answer


async def _bare_error(http: web.BaseRequest) -> web.StreamResponse:
    """Answer 500 as a stream of bytes that ends at once: no code, no JSON."""
    answer = web.StreamResponse(status=500, headers={"Content-Type": MIME_CONTENT_TYPE})
    answer.enable_chunked_encoding()
    await answer.prepare(http)
    await answer.write_eof()
    return answer


async def _half(http: web.BaseRequest, status: int, headers: Mapping[str, str], body: bytes) -> web.StreamResponse:
    """Announce the whole body, send half of it, hang up; without a body, just hang up."""
    if not body:
        return _broken(http)
    answer = web.StreamResponse(status=status, headers=headers)
    answer.content_length = len(body)
    await answer.prepare(http)
    await answer.write(body[: len(body) // 2])
    # Give the half a chance to leave before the connection is cut.
    await asyncio.sleep(0)
    return _broken(http)


def _broken(http: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection. The returned response is never sent."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)
