"""Quarantine: the mails by reason, and an operator's form that releases, assigns or deletes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from console.access import Role
from console.forms import refusal, why_of
from console.language import Words
from console.render import Notice, in_thread, page, person_of, trouble, words_of
from console.service import Action, QuarantineWork, Result, TenantChoice, Undo
from ingest.codes import Reason
from ingest.errors import IngestError, OperatorError

QUARANTINE_LIMIT = 500


class _Incomplete(Exception):
    """A form that can't be carried out; `key` is the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    action: Action
    tenant: TenantChoice | None
    why: str


class QuarantinePage:
    """The handlers of `/quarantine`."""

    def __init__(self, service: QuarantineWork) -> None:
        self._service = service

    def show(self, request: Request) -> Response:
        """Show the mails in Quarantine by reason."""
        return self._page(request)

    async def act(self, request: Request) -> Response:
        """Do what an operator has chosen for the chosen mails."""
        form = await request.form()
        fields = {key: str(form.get(key, "")) for key in ("form_token", "action", "why", "tenant", "undo")}
        chosen = [str(value) for value in form.getlist("mail")]
        return await in_thread(lambda: self._act(request, fields, chosen))

    def _act(self, request: Request, fields: Mapping[str, str], chosen: Sequence[str]) -> Response:
        person, words = person_of(request), words_of(request)
        if (refused := refusal(request, fields["form_token"], title="nav.quarantine")) is not None:
            return refused
        try:
            if fields["undo"]:
                undo = Undo.from_text(fields["undo"])
                result = self._service.undo(undo, by=person.name)
                return self._page(request, _notice(words, "done.undo", result, len(undo.keys)))
            wanted = self._wanted(fields, chosen)
        except _Incomplete as incomplete:
            notice = Notice(text=words(incomplete.key), style="bad")
            return self._page(request, notice, status=400)
        result = self._service.act(wanted.action, chosen, tenant=wanted.tenant, why=wanted.why, by=person.name)
        return self._page(request, _notice(words, f"done.{wanted.action}", result, len(chosen)))

    def _wanted(self, fields: Mapping[str, str], chosen: Sequence[str]) -> _Wanted:
        """Return what an operator wants. Raise _Incomplete where something of it is missing."""
        why = why_of(fields["why"])
        if not chosen:
            raise _Incomplete("trouble.none_chosen")
        if not why:
            raise _Incomplete("trouble.why")
        if fields["action"] not in set(Action):
            raise _Incomplete("trouble.form")
        action = Action(fields["action"])
        tenant = self._service.tenant(fields["tenant"]) if action is Action.ASSIGN else None
        if action is Action.ASSIGN and tenant is None:
            raise _Incomplete("trouble.tenant")
        return _Wanted(action=action, tenant=tenant, why=why)

    def _page(self, request: Request, notice: Notice | None = None, status: int = 200) -> Response:
        wanted = request.query_params.get("reason", "")
        try:
            found = self._service.quarantined(limit=QUARANTINE_LIMIT)
        except OperatorError:
            raise
        except IngestError as error:
            return trouble(request, "trouble.unavailable", "trouble.graph", cause=str(error), status=503)
        mails = [mail for mail in found if wanted in {"", mail.reason}]
        by_reason = sorted(mails, key=lambda mail: mail.reason)
        return page(
            request,
            "quarantine.html",
            here="quarantine",
            notice=notice,
            status=status,
            mails=mails,
            capped=len(found) >= QUARANTINE_LIMIT,
            groups=[(reason, list(group)) for reason, group in groupby(by_reason, key=lambda mail: mail.reason)],
            reasons=[reason.value for reason in Reason],
            chosen=wanted,
            may_act=person_of(request).role >= Role.OPERATOR,
        )


def _notice(words: Words, key: str, result: Result, chosen: int) -> Notice:
    """Return the notice on an action for so many chosen mails. `key`: of the text for full success."""
    text = words(key, count=result.done)
    if result.trouble:
        text = words("done.some", done=result.done, count=chosen, trouble=" ".join(result.trouble))
    style = "bad" if result.trouble else "" if result.warnings else "good"
    undo = result.undo.to_text() if result.undo else None
    return Notice(text=" ".join((text, *result.warnings)), style=style, undo=undo)
