"""The application: routes, people, and the content host.

Two hosts where there can be two: pages on one, a stranger's content on the other, so that no cookie of a page ever
travels with content. On a machine of one's own these are `127.0.0.1` and `localhost`, which browsers keep apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.access import SESSION_COOKIE, Access, LoopbackAccess
from console.assertion import Assertions
from console.content import Content, Form, Links
from console.desk import Desk
from console.guard import CONTENT_POLICY, PAGE_POLICY, Guard, RateLimit
from console.language import COOKIE, LANGUAGES
from console.own_history import OwnHistory
from console.pages import Pages
from console.pdf_pages import render
from console.preview import IMAGES, MAX_PDF, MAX_TEXT, head
from console.render import stranger_page, trouble
from ingest.errors import BlobMissing, IngestError

DOWNLOADS_A_MINUTE = 120
_MINUTE = 60.0
_YEAR = 365 * 24 * 3600
# Reached without a session: content proves itself by its link, the way in by its key, a tenant by an assertion.
_OPEN = ("/static/", "/content/", "/enter", "/tenant/history")
type _Handler = Callable[[Request], Awaitable[Response]]


def build(
    desk: Desk,
    access: Access,
    *,
    assertions: Assertions | None = None,
    hosts: tuple[str, ...] | None = None,
    page_url: str = "'self'",
    content_url: str = "",
) -> Starlette:
    """Return the application.

    `assertions`: the check of a DMS's word for a tenant, None where no DMS asks. `hosts`: host names under which it
    answers, None where a proxy checks them. `page_url`, `content_url`: the origins of pages and of content, where
    these differ.
    """
    links = Links(base_url=content_url)
    pages = Pages(desk, links)
    limit = RateLimit(most=DOWNLOADS_A_MINUTE, seconds=_MINUTE)
    serve = _Contents(desk, links, limit, CONTENT_POLICY.format(page=page_url))
    own = OwnHistory(desk=desk, assertions=assertions)
    number = "{number:int}"
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/mails", pages.mails),
            Route(f"/mails/{number}", pages.mail),
            Route(f"/mails/{number}/preview/{{part:int}}", pages.preview),
            Route(f"/mails/{number}/copies/{{copy:int}}/original", pages.download),
            Route(f"/mails/{number}/copies/{{copy:int}}/parts/{{part:int}}", pages.download),
            Route("/quarantine", pages.quarantine, methods=["GET"]),
            Route("/quarantine", pages.act, methods=["POST"]),
            Route("/quarantine/undo", pages.act, methods=["POST"]),
            Route("/tenants", pages.tenants),
            Route("/audit", pages.audit),
            Route("/enter", _enter(access)),
            Route("/language/{language}", _choose_language),
            Route("/content/{link}", serve.content),
            Route("/tenant/history", own.as_json),
            Route("/tenant/history.html", own.as_fragment),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[
            Middleware(Guard, hosts=hosts, policy=PAGE_POLICY.format(content=content_url or "'self'")),
            Middleware(BaseHTTPMiddleware, dispatch=_recognise(access)),
        ],
        exception_handlers={IngestError: _unavailable, 404: _not_found},
    )


def _recognise(access: Access) -> Callable[[Request, _Handler], Awaitable[Response]]:
    async def recognise(request: Request, handle: _Handler) -> Response:
        request.state.person = access.person(request.headers, request.cookies)
        if request.state.person is None and not request.url.path.startswith(_OPEN):
            return stranger_page(request, "app.stranger" if isinstance(access, LoopbackAccess) else "app.no_role")
        return await handle(request)

    return recognise


def _enter(access: Access) -> Callable[[Request], Response]:
    def enter(request: Request) -> Response:
        session = access.exchange(request.query_params.get("key", "")) if isinstance(access, LoopbackAccess) else None
        if session is None:
            return stranger_page(request, "app.stranger")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(SESSION_COOKIE, session, httponly=True, samesite="strict")
        return answer

    return enter


def _choose_language(request: Request) -> Response:
    language = request.path_params["language"]
    answer = RedirectResponse(_local_path(request.headers.get("referer", ""), request), status_code=303)
    if language in LANGUAGES:
        answer.set_cookie(COOKIE, language, max_age=_YEAR, httponly=True, samesite="strict")
    return answer


def _local_path(referer: str, request: Request) -> str:
    """Return the path of a page of ours that a person came from, else the first page."""
    base = str(request.base_url)
    return "/" + referer.removeprefix(base).lstrip("/\\") if referer.startswith(base) else "/"


class _Contents:
    """Serves what links name."""

    def __init__(self, desk: Desk, links: Links, limit: RateLimit, policy: str) -> None:
        self._desk = desk
        self._links = links
        self._limit = limit
        self._policy = policy

    def content(self, request: Request) -> Response:
        content = self._links.read(request.path_params["link"])
        if content is None:
            return PlainTextResponse("This link is void or too old. Load the page again.", status_code=404)
        if not self._limit.allows(request.client.host if request.client else ""):
            return PlainTextResponse("Too many downloads in a minute. Wait a moment.", status_code=429)
        try:
            blocks = self._desk.read(content.container, content.blob_name)
            answer = self._preview(content, blocks) if content.form is Form.PREVIEW else _download(content, blocks)
        except BlobMissing:
            return PlainTextResponse("The blob is missing. See: python -m ingest messages verify", status_code=404)
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return answer

    def _preview(self, content: Content, blocks: Iterator[bytes]) -> Response:
        if content.media_type in IMAGES:
            return StreamingResponse(_started(blocks), media_type=content.media_type)
        if content.media_type == "application/pdf":
            drawn = render(head(blocks, MAX_PDF), content.page)
            if drawn is None:
                return PlainTextResponse("This PDF can't be drawn.", status_code=404)
            return Response(drawn.png, media_type="image/png")
        text = head(blocks, MAX_TEXT)
        if content.media_type == "text/html":
            return Response(text, media_type="text/html")
        return PlainTextResponse(_decoded(text))


def _download(content: Content, blocks: Iterator[bytes]) -> Response:
    name = quote(content.name.replace("/", "_").replace("\\", "_")[:200] or "file", safe="", errors="replace")
    return StreamingResponse(
        _started(blocks),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def _started(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first block at once, so that a missing blob is an answer and not half of one."""
    first = next(blocks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from blocks

    return rest()


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _unavailable(request: Request, error: Exception) -> Response:
    if getattr(request.state, "person", None) is None:
        return PlainTextResponse("Not available now.", status_code=503)
    return trouble(request, "trouble.unavailable", "trouble.said", status=503, cause=str(error))


def _not_found(request: Request, _error: Exception) -> Response:
    if getattr(request.state, "person", None) is None:
        return PlainTextResponse("Not found.", status_code=404)
    return trouble(request, "trouble.not_found", "trouble.no_page", status=404)
