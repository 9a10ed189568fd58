"""The application: routes, and the recognition of people.

Two hosts where there can be two: pages on one, a stranger's content on the other, so that no cookie of a page ever
travels with content. On a machine of one's own these are `127.0.0.1` and `localhost`, which browsers keep apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.access import SESSION_COOKIE, Access, LoopbackAccess
from console.assertion import Assertions
from console.content_links import Links
from console.content_responses import ContentResponses
from console.guard import CONTENT_POLICY, PAGE_POLICY, Guard, RateLimit
from console.language import COOKIE, LANGUAGES
from console.mail_page import MailPage
from console.pages import Pages
from console.quarantine_page import QuarantinePage
from console.render import stranger_page, trouble
from console.senders_page import SendersPage
from console.service import Service
from console.tenant_history import TenantHistory
from ingest.errors import IngestError
from operations.origin import acting_from

DOWNLOADS_A_MINUTE = 120
_MINUTE = 60.0
_YEAR = 365 * 24 * 3600
# Reached without a session: content proves itself by its link, the way in by its key, a tenant by an assertion.
_OPEN = ("/static/", "/content/", "/enter", "/tenant/history")
type _Handler = Callable[[Request], Awaitable[Response]]


def build(
    service: Service,
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
    pages = Pages(service)
    mail_page = MailPage(service, links)
    quarantine, senders = QuarantinePage(service), SendersPage(service)
    limit = RateLimit(most=DOWNLOADS_A_MINUTE, seconds=_MINUTE)
    contents = ContentResponses(service, links, limit, CONTENT_POLICY.format(page=page_url))
    history = TenantHistory(service=service, assertions=assertions)
    number = "{number:int}"
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/mails", pages.mails),
            Route(f"/mails/{number}", mail_page.mail),
            Route(f"/mails/{number}/preview/{{part:int}}", mail_page.preview),
            Route(f"/mails/{number}/copies/{{copy:int}}/original", mail_page.download),
            Route(f"/mails/{number}/copies/{{copy:int}}/parts/{{part:int}}", mail_page.download),
            Route("/quarantine", quarantine.show, methods=["GET"]),
            Route("/quarantine", quarantine.act, methods=["POST"]),
            Route("/quarantine/undo", quarantine.act, methods=["POST"]),
            Route("/held", senders.held, methods=["GET"]),
            Route("/held", senders.decide, methods=["POST"]),
            Route("/senders", senders.lists, methods=["GET"]),
            Route("/senders", senders.change, methods=["POST"]),
            Route("/tenants", pages.tenants),
            Route("/audit", pages.audit),
            Route("/enter", _enter(access)),
            Route("/language/{language}", _choose_language),
            Route("/content/{link}", contents.answer),
            Route("/tenant/history", history.as_json),
            Route("/tenant/history.html", history.as_fragment),
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
        peer = request.client.host if request.client else ""
        with acting_from(access.origin(request.headers, peer)):
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


def _unavailable(request: Request, error: Exception) -> Response:
    if getattr(request.state, "person", None) is None:
        return PlainTextResponse("Not available now.", status_code=503)
    return trouble(request, "trouble.unavailable", "trouble.said", status=503, cause=str(error))


def _not_found(request: Request, _error: Exception) -> Response:
    if getattr(request.state, "person", None) is None:
        return PlainTextResponse("Not found.", status_code=404)
    return trouble(request, "trouble.not_found", "trouble.no_page", status=404)
