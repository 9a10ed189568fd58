"""A tenant's own history, for the DMS to show: as JSON, and as a fragment of HTML in words for laypeople.

The DMS asks for a tenant that has signed in there, with an assertion in the Authorization header. Nothing of the
answer is chosen by the request but the search text: the tenant comes from the assertion alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from console.assertion import Assertions
from console.language import Words
from console.render import templates, words_of
from console.service import TenantHistories
from ingest.codes import HeldReason
from operations.mails.tenant_history import TenantMail

LIMIT = 100
MAX_QUERY = 500  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantHistory:
    """The two endpoints. `assertions` is None where the DMS's key is not set: then nothing is served."""

    service: TenantHistories
    assertions: Assertions | None

    def as_json(self, request: Request) -> Response:
        """Answer with the tenant's newest mails, at most LIMIT."""
        mails = self._mails(request)
        if mails is None:
            return JSONResponse({"error": "The Authorization header holds no valid assertion."}, status_code=401)
        words = words_of(request)
        return JSONResponse({"mails": [_row(mail, words) for mail in mails], "limit": LIMIT})

    def as_fragment(self, request: Request) -> Response:
        """Answer with a table to include in a page of the DMS, without script and style."""
        mails = self._mails(request)
        if mails is None:
            return HTMLResponse("", status_code=HTTPStatus.UNAUTHORIZED)
        return HTMLResponse(
            templates.get_template("tenant_history.html").render(w=words_of(request), mails=mails, in_words=_in_words)
        )

    def _mails(self, request: Request) -> list[TenantMail] | None:
        tenant = self.assertions.tenant(request.headers.get("authorization", "")) if self.assertions else None
        if tenant is None:
            return None
        query = request.query_params.get("q", "")[:MAX_QUERY]
        return [
            mail for mail in self.service.tenant_history(tenant, query, limit=LIMIT) if str(mail.tenant_id) == tenant
        ]


def _row(mail: TenantMail, words: Words) -> dict[str, object]:
    return {
        "number": mail.number,
        "received_at": mail.received_at.isoformat(),
        "stored_at": mail.stored_at.isoformat() if mail.stored_at else None,
        "sender": mail.sender,
        "subject": mail.subject,
        "documents": mail.documents,
        "withheld": mail.withheld,
        "state": mail.state,
        "state_in_words": _in_words(mail, words),
        "held_reason": mail.held_reason,
        "reason": mail.reason,
        "reason_in_words": words(f"tenant_history.reason.{mail.reason}") if mail.reason else None,
    }


def _in_words(mail: TenantMail, words: Words) -> str:
    """Return the state, and the number of documents that the scan for malware withholds."""
    if mail.held_reason is not None:
        return words("tenant_history.declined" if mail.held_reason == HeldReason.DECLINED else "tenant_history.held")
    state = words(f"tenant_history.{mail.state}")
    return state if not mail.withheld else f"{state}, {words('tenant_history.withheld', count=mail.withheld)}"
