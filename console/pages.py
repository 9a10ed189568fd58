"""The pages over all mails: overview, search, the record of actions; and the list of tenants to choose from."""

from __future__ import annotations

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.overview import cards, drawings
from console.render import page, words_of
from console.service import Overview
from console.text import shown

LIMIT = 50  # mails in a list of the search
MAX_QUERY = 500  # characters
AUDIT_LIMIT = 200


class Pages:
    """The handlers. Each runs in a thread, as it waits for Postgres."""

    def __init__(self, service: Overview) -> None:
        self._service = service

    def overview(self, request: Request) -> Response:
        """Show health and plots."""
        words = words_of(request)
        seen = self._service.status()
        return page(
            request,
            "overview.html",
            here="overview",
            cards=cards(seen, self._service.platform_state(), words),
            plots=drawings(seen, words),
            tenants=seen.tenants,
        )

    def mails(self, request: Request) -> Response:
        """Show what the search box finds."""
        query = request.query_params.get("q", "")[:MAX_QUERY]
        return page(
            request,
            "search.html",
            here="mails",
            query=query,
            mails=self._service.search(query, limit=LIMIT),
            limit=LIMIT,
        )

    def tenants(self, request: Request) -> Response:
        """List the tenants with a name or number that begins with the text, for the tenant's box."""
        found = self._service.tenants(request.query_params.get("tenant", "")[:MAX_QUERY])
        option = Markup('<option value="{}">{}</option>')
        return HTMLResponse(
            Markup("").join(option.format(str(tenant.id), shown(tenant.name or "")) for tenant in found)
        )

    def audit(self, request: Request) -> Response:
        """Show the record of actions."""
        return page(request, "audit.html", here="audit", entries=self._service.audit(limit=AUDIT_LIMIT))
