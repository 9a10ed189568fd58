"""The pages on senders: the mails that wait for a decision, and the tenants' lists of allowed senders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from console.access import Role
from console.forms import refusal, why_of
from console.render import Notice, in_thread, page, person_of, words_of
from console.service import SenderWork, TenantChoice
from ingest.errors import OperatorError
from operations.tenants.senders import Decision, SenderMode

LIMIT = 200  # mails that wait, on one page
SENDERS_LIMIT = 500  # entries of a tenant's lists, on one page
MAX_SENDERS = 10_000  # characters of the box for new entries
_DEFAULT = "general"  # the choice that takes a purpose's own list out of use


class SendersPage:
    """The two pages. Handlers run in a thread, as they wait for Postgres."""

    def __init__(self, service: SenderWork) -> None:
        self._service = service

    def held(self, request: Request) -> Response:
        """Show the mails that wait, oldest first."""
        return self._held_page(request)

    async def decide(self, request: Request) -> Response:
        """Carry out a decision on the chosen mails."""
        fields, chosen = await _form(request)
        return await in_thread(
            lambda: self._guarded(request, fields, lambda why: self._decide(request, fields, chosen, why))
        )

    def lists(self, request: Request) -> Response:
        """Show one tenant's lists, or the box to choose a tenant."""
        return self._lists_page(request, request.query_params.get("tenant", ""))

    async def change(self, request: Request) -> Response:
        """Change one tenant's list."""
        fields, chosen = await _form(request)
        return await in_thread(
            lambda: self._guarded(request, fields, lambda why: self._change(request, fields, chosen, why))
        )

    def _guarded(self, request: Request, fields: Mapping[str, str], act: Callable[[str], Response]) -> Response:
        """Call `act` with the reason for the record, where an operator has sent a form of ours."""
        refused = refusal(request, fields["form_token"], title="nav.held")
        return act(why_of(fields["why"])) if refused is None else refused

    def _decide(self, request: Request, fields: Mapping[str, str], chosen: Sequence[str], why: str) -> Response:
        words = words_of(request)
        if (wrong := _wrong_decision(fields["decision"], chosen, why)) is not None:
            return self._held_page(request, Notice(text=words(wrong), style="bad"), status=400)
        decision = Decision(fields["decision"])
        result = self._service.decide(decision, chosen, why=why, by=person_of(request).name)
        text = words(f"done.{decision}", count=result.done)
        if result.trouble:
            text = words("done.some", done=result.done, count=len(chosen), trouble=" ".join(result.trouble))
        return self._held_page(request, Notice(text=text, style="bad" if result.trouble else "good"))

    def _change(self, request: Request, fields: Mapping[str, str], chosen: Sequence[str], why: str) -> Response:
        words, purpose, by = words_of(request), fields["purpose"].strip(), person_of(request).name
        tenant = self._service.tenant(fields["tenant"])
        if tenant is None or not why:
            notice = Notice(text=words("trouble.tenant" if tenant is None else "trouble.why"), style="bad")
            return self._lists_page(request, fields["tenant"], notice, status=400)
        try:
            done = self._changed(fields, tenant, chosen, purpose=purpose, why=why, by=by)
        except OperatorError as wrong:
            notice = Notice(text=str(wrong), style="bad")
            return self._lists_page(request, str(tenant.id), notice, status=400)
        return self._lists_page(request, str(tenant.id), Notice(text=words("senders.done", count=done), style="good"))

    def _changed(
        self,
        fields: Mapping[str, str],
        tenant: TenantChoice,
        chosen: Sequence[str],
        *,
        purpose: str,
        why: str,
        by: str,
    ) -> int:
        match fields["action"]:
            case "mode":
                mode = None if fields["mode"] == _DEFAULT else _mode(fields["mode"])
                self._service.set_sender_mode(tenant, mode, purpose=purpose, why=why, by=by)
                return 1
            case "add":
                entries = fields["senders"][:MAX_SENDERS].replace(",", " ").split()
                return self._service.allow_senders(tenant, entries, purpose=purpose, why=why, by=by)
            case "remove":
                return self._service.remove_senders(tenant, chosen, why=why, by=by)
            case _:
                raise OperatorError("The form names no action.")

    def _held_page(self, request: Request, notice: Notice | None = None, status: int = 200) -> Response:
        return page(
            request,
            "held.html",
            here="held",
            notice=notice,
            status=status,
            mails=self._service.held(limit=LIMIT),
            limit=LIMIT,
            may_act=person_of(request).role >= Role.OPERATOR,
        )

    def _lists_page(self, request: Request, wanted: str, notice: Notice | None = None, status: int = 200) -> Response:
        tenant = self._service.tenant(wanted) if wanted.strip() else None
        if tenant is None and wanted.strip() and notice is None:
            notice, status = Notice(text=words_of(request)("trouble.tenant"), style="bad"), 404
        lists, senders = self._service.senders(tenant, limit=SENDERS_LIMIT) if tenant else ((), ())
        return page(
            request,
            "senders.html",
            here="held",
            notice=notice,
            status=status,
            tenant=tenant,
            lists=lists,
            senders=senders,
            limit=SENDERS_LIMIT,
            modes=[mode.value for mode in SenderMode],
            may_act=person_of(request).role >= Role.OPERATOR,
        )


async def _form(request: Request) -> tuple[dict[str, str], list[str]]:
    """Return the fields of a form that was sent, and the chosen rows."""
    form = await request.form()
    names = ("form_token", "why", "decision", "tenant", "action", "mode", "purpose", "senders")
    return {name: str(form.get(name, "")) for name in names}, [str(value) for value in form.getlist("row")]


def _wrong_decision(decision: str, chosen: Sequence[str], why: str) -> str | None:
    """Return the key of the text that says what a decision lacks; None where it is complete."""
    if not chosen:
        return "trouble.none_chosen"
    if not why:
        return "trouble.why"
    return None if decision in set(Decision) else "trouble.form"


def _mode(text: str) -> SenderMode:
    try:
        return SenderMode(text)
    except ValueError:
        raise OperatorError("The form names no mode.") from None
