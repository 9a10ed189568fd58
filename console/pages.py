"""The pages: one handler each, from a request to a rendered template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console import plots
from console.access import Role
from console.content import Content, Form, Links
from console.desk import Action, Desk, Result, TenantChoice, Undo
from console.guard import is_form_token
from console.language import Words
from console.preview import content_of, preview_kind, preview_of
from console.render import Notice, in_thread, page, person_of, trouble, words_of
from console.text import shown
from ingest.codes import Reason
from ingest.errors import IngestError, OperatorError
from operations.figures import Figures
from operations.history import Copy, MailHistory, PartRecord

LIMIT = 50  # mails in a list of the search
QUARANTINE_LIMIT = 500
MAX_QUERY = 500  # characters
MAX_WHY = 500  # characters
OLD_SECONDS = 15 * 60  # a mail that is not done after this long is a warning


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a mail's history; `at` is None for one that is still to come."""

    at: datetime | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartView:
    """A part with its links, None where there is nothing to fetch."""

    part: PartRecord
    download: str | None
    preview: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyView:
    """A tenant's copy with the link to its original."""

    copy: Copy
    original: str
    parts: Sequence[PartView]


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


class Pages:
    """Every page of the console. Handlers run in a thread, as they wait for Postgres and Graph."""

    def __init__(self, desk: Desk, links: Links) -> None:
        self._desk = desk
        self._links = links

    def overview(self, request: Request) -> Response:
        """Show health and plots."""
        words = words_of(request)
        seen = self._desk.figures()
        return page(
            request,
            "overview.html",
            here="overview",
            cards=_cards(seen, words),
            plots=_plots(seen, words),
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
            mails=self._desk.search(query, limit=LIMIT),
            limit=LIMIT,
        )

    def mail(self, request: Request) -> Response:
        """Show one mail: history, parts, evidence."""
        found = self._desk.mail(request.path_params["number"])
        if found is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        history, copies = found
        views = [self._copy_view(history.number, copy) for copy in copies]
        words = words_of(request)
        return page(
            request,
            "mail.html",
            here="mails",
            mail=history,
            copies=copies,
            views=views,
            timeline=timeline(history, copies, words),
        )

    def preview(self, request: Request) -> Response:
        """Show one part in a form that can't run anything."""
        number = request.path_params["number"]
        found = self._desk.mail(number)
        choice = _chosen(self._desk, found, request.path_params["part"]) if found else None
        if choice is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        copy, part = choice
        self._desk.note_look(person_of(request).name, number, f"preview of part {part.position}")
        shown_as = preview_of(copy, part, self._desk, self._links)
        return page(
            request,
            "preview.html",
            here="mails",
            number=number,
            part=part,
            sheet=shown_as.sheet,
            kind=shown_as.kind,
            source=shown_as.source,
            pages=shown_as.pages,
            more=shown_as.more,
        )

    def download(self, request: Request) -> Response:
        """Record the look, then lead to the content."""
        number = request.path_params["number"]
        found = self._desk.mail(number)
        part = request.path_params.get("part")
        copy_id = request.path_params["copy"]
        copy = next((copy for copy in found[1] if copy.id == copy_id), None) if found else None
        if copy is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        if part is None:
            self._desk.note_look(person_of(request).name, number, "download of the original")
            return RedirectResponse(self._links.url(original_of(copy)), status_code=303)
        record = next((item for item in self._desk.parts(copy.duplicate_of or copy.id) if item.id == part), None)
        if record is None or record.blob_name is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        self._desk.note_look(person_of(request).name, number, f"download of part {record.position}")
        return RedirectResponse(self._links.url(content_of(copy, record, Form.DOWNLOAD)), status_code=303)

    def quarantine(self, request: Request) -> Response:
        """Show the mails in Quarantine by reason."""
        return self._quarantine_page(request)

    async def act(self, request: Request) -> Response:
        """Do what an operator has chosen for the chosen mails."""
        form = await request.form()
        fields = {key: str(form.get(key, "")) for key in ("form_token", "action", "why", "tenant", "undo")}
        chosen = [str(value) for value in form.getlist("mail")]
        return await in_thread(lambda: self._act(request, fields, chosen))

    def tenants(self, request: Request) -> Response:
        """List the tenants with a name or number that begins with the text, for the tenant's box."""
        found = self._desk.tenants(request.query_params.get("tenant", "")[:MAX_QUERY])
        option = Markup('<option value="{}">{}</option>')
        return HTMLResponse(
            Markup("").join(option.format(str(tenant.id), shown(tenant.name or "")) for tenant in found)
        )

    def audit(self, request: Request) -> Response:
        """Show the record of actions."""
        return page(request, "audit.html", here="audit", entries=self._desk.audit(limit=200))

    def _act(self, request: Request, fields: Mapping[str, str], chosen: Sequence[str]) -> Response:
        person, words = person_of(request), words_of(request)
        if person.role < Role.OPERATOR:
            return trouble(request, "nav.quarantine", "trouble.role", status=403)
        if not is_form_token(fields["form_token"], person.session):
            return trouble(request, "nav.quarantine", "trouble.form", status=403)
        try:
            if fields["undo"]:
                undo = Undo.from_text(fields["undo"])
                result = self._desk.undo(undo, by=person.name)
                return self._quarantine_page(request, _notice(words, "done.undo", result, len(undo.keys)))
            wanted = self._wanted(fields, chosen)
        except _Incomplete as incomplete:
            notice = Notice(text=words(incomplete.key), style="bad")
            return self._quarantine_page(request, notice, status=400)
        result = self._desk.act(wanted.action, chosen, tenant=wanted.tenant, why=wanted.why, by=person.name)
        return self._quarantine_page(request, _notice(words, f"done.{wanted.action}", result, len(chosen)))

    def _wanted(self, fields: Mapping[str, str], chosen: Sequence[str]) -> _Wanted:
        """Return what an operator wants. Raise _Incomplete where something of it is missing."""
        why = fields["why"].strip()[:MAX_WHY]
        if not chosen:
            raise _Incomplete("trouble.none_chosen")
        if not why:
            raise _Incomplete("trouble.why")
        if fields["action"] not in set(Action):
            raise _Incomplete("trouble.form")
        action = Action(fields["action"])
        tenant = self._desk.tenant(fields["tenant"]) if action is Action.ASSIGN else None
        if action is Action.ASSIGN and tenant is None:
            raise _Incomplete("trouble.tenant")
        return _Wanted(action=action, tenant=tenant, why=why)

    def _quarantine_page(self, request: Request, notice: Notice | None = None, status: int = 200) -> Response:
        wanted = request.query_params.get("reason", "")
        try:
            found = self._desk.quarantined(limit=QUARANTINE_LIMIT)
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

    def _copy_view(self, number: int, copy: Copy) -> CopyView:
        base = f"/mails/{number}/copies/{copy.id}"
        return CopyView(
            copy=copy,
            original=f"{base}/original",
            parts=[
                PartView(
                    part=part,
                    download=f"{base}/parts/{part.id}" if part.blob_name else None,
                    preview=f"/mails/{number}/preview/{part.id}" if part.blob_name and preview_kind(part) else None,
                )
                for part in self._desk.parts(copy.duplicate_of or copy.id)
            ],
        )


def original_of(copy: Copy) -> Content:
    """Return the link target of a copy's original."""
    return Content(
        container=copy.container,
        blob_name=copy.blob_name,
        name=f"{copy.subject or 'E-Mail'}.eml",
        media_type="message/rfc822",
        size=copy.size,
        form=Form.DOWNLOAD,
    )


def timeline(mail: MailHistory, copies: Sequence[Copy], words: Words) -> list[Step]:
    """Return the steps of a mail in their order, those still to come at the end."""
    steps = [Step(at=mail.first_seen_at, text=words("step.announced", trigger=words(f"trigger.{mail.trigger}")))]
    received = mail.received_at or (copies[0].received_at if copies else None)
    if received is not None:
        steps.append(Step(at=received, text=words("step.received", mailbox=mail.mailbox)))
    if mail.enqueued_at is not None:
        steps.append(Step(at=mail.enqueued_at, text=words("step.enqueued")))
    steps += [
        Step(at=copy.stored_at, text=words("step.stored", tenant=copy.tenant or copy.tenant_id)) for copy in copies
    ]
    if mail.ended_at is not None:
        steps.append(Step(at=mail.ended_at, text=words(f"step.{mail.state}")))
    steps.sort(key=lambda step: step.at or datetime.max.replace(tzinfo=UTC))
    if mail.assigned_by:
        steps.append(Step(at=None, text=words("step.assigned", by=mail.assigned_by)))
    if mail.last_error:
        steps.append(Step(at=None, text=words("step.error", error=mail.last_error)))
    if mail.ended_at is None:
        steps.append(Step(at=None, text=words("step.attempts", attempts=mail.attempts)))
        if mail.lease_until is not None:
            steps.append(Step(at=mail.lease_until, text=words("step.working")))
        elif mail.next_try_at is not None:
            steps.append(Step(at=mail.next_try_at, text=words("step.next")))
    return steps


def _chosen(desk: Desk, found: tuple[MailHistory, Sequence[Copy]], part_id: int) -> tuple[Copy, PartRecord] | None:
    for copy in found[1]:
        for part in desk.parts(copy.duplicate_of or copy.id):
            if part.id == part_id and part.blob_name:
                return copy, part
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Card:
    key: str
    value: str
    style: str = ""


def _cards(seen: Figures, words: Words) -> list[_Card]:
    health, quarantined = seen.health, sum(seen.reasons.values())
    late = health.oldest_seconds is not None and health.oldest_seconds > OLD_SECONDS
    return [
        _Card(key="oldest", value=words.duration(health.oldest_seconds), style="bad" if late else "good"),
        _Card(key="open", value=words.number(health.open)),
        _Card(key="quarantined", value=words.number(quarantined), style="warn" if quarantined else "good"),
        _Card(key="last_stored", value=words.age(health.last_stored_at)),
        _Card(key="last_notified", value=words.age(health.last_notified_at)),
        _Card(key="last_swept", value=words.age(health.last_swept_at)),
    ]


def _plots(seen: Figures, words: Words) -> list[dict[str, Any]]:
    labels = [words.time(hour.at)[-8:-3] for hour in seen.hours]
    hourly = plots.Series(name=words("overview.mails"), style="mails", values=[hour.mails for hour in seen.hours])
    p50 = plots.Series(name=words("overview.p50"), style="p50", values=[hour.p50_seconds for hour in seen.hours])
    p99 = plots.Series(name=words("overview.p99"), style="p99", values=[hour.p99_seconds for hour in seen.hours])
    reasons = [words(f"reason.{reason}") for reason in seen.reasons]
    by_reason = plots.Series(name="", style="reasons", values=list(seen.reasons.values()))
    drawn = [
        _plot(words("overview.hourly"), lambda title: plots.bars(labels, hourly, title=title)),
        _plot(
            words("overview.latency"),
            lambda title: plots.lines(labels, [p50, p99], title=title),
            legend=(("p50", p50.name), ("p99", p99.name)),
        ),
    ]
    if reasons:
        drawn.append(_plot(words("overview.reasons"), lambda title: plots.bars(reasons, by_reason, title=title)))
    return drawn


def _plot(title: str, draw: Callable[[str], str], legend: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    return {"title": title, "svg": Markup(draw(title)), "legend": legend}  # noqa: S704 - drawn by plots.py, which escapes


def _notice(words: Words, key: str, result: Result, chosen: int) -> Notice:
    """Return the notice on an action for so many chosen mails. `key`: of the text for full success."""
    text = words(key, count=result.done)
    if result.trouble:
        text = words("done.some", done=result.done, count=chosen, trouble=" ".join(result.trouble))
    style = "bad" if result.trouble else "" if result.warnings else "good"
    undo = result.undo.to_text() if result.undo else None
    return Notice(text=" ".join((text, *result.warnings)), style=style, undo=undo)
