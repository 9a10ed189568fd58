"""One mail: its history, the copies with their parts, a preview, downloads. Each look at content is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.content_links import Content, Form, Links
from console.language import Words
from console.preview import content_of, preview_kind, preview_of
from console.render import page, person_of, trouble, words_of
from console.service import MailHistories
from ingest.model.claim import ClaimState
from ingest.model.message import OriginalForm
from operations.mails.history import Copy, MailRecord, PartRecord, Rejection

_LATEST = datetime.max.replace(tzinfo=UTC)


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


class MailPage:
    """The handlers below `/mails/…`."""

    def __init__(self, service: MailHistories, links: Links) -> None:
        self._service = service
        self._links = links

    def mail(self, request: Request) -> Response:
        """Show one mail: history, parts, evidence."""
        found = self._service.mail(request.path_params["number"])
        if found is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        return page(
            request,
            "mail.html",
            here="mails",
            mail=found.claim,
            subject=subject_of(found),
            rejections=rejections_now(found),
            views=[self._copy_view(found.claim.number, copy) for copy in found.copies],
            timeline=timeline(found, words_of(request)),
        )

    def preview(self, request: Request) -> Response:
        """Show one part in a form that can't run anything."""
        number = request.path_params["number"]
        found = self._service.mail(number)
        choice = _chosen(self._service, found, request.path_params["part"]) if found else None
        if choice is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        copy, part = choice
        self._service.note_look(person_of(request).name, number, f"preview of part {part.position}")
        shown_as = preview_of(copy, part, self._service, self._links)
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
        found = self._service.mail(number)
        part = request.path_params.get("part")
        copy_id = request.path_params["copy"]
        copy = next((copy for copy in found.copies if copy.id == copy_id), None) if found else None
        if copy is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        if part is None:
            self._service.note_look(person_of(request).name, number, "download of the original")
            return RedirectResponse(self._links.url(original_of(copy)), status_code=303)
        record = next((item for item in self._service.parts(copy.duplicate_of or copy.id) if item.id == part), None)
        if record is None or record.blob_name is None:
            return trouble(request, "trouble.not_found", "trouble.no_mail", status=404)
        self._service.note_look(person_of(request).name, number, f"download of part {record.position}")
        return RedirectResponse(self._links.url(content_of(copy, record, Form.DOWNLOAD)), status_code=303)

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
                for part in self._service.parts(copy.duplicate_of or copy.id)
            ],
        )


def original_of(copy: Copy) -> Content:
    """Return the link target of a copy's original."""
    form = OriginalForm(copy.original)
    return Content(
        container=copy.container,
        blob_name=copy.blob_name,
        name=f"{copy.subject or 'E-Mail'}.{form.extension}",
        media_type=form.media_type,
        size=copy.size,
        form=Form.DOWNLOAD,
    )


def subject_of(mail: MailRecord) -> str:
    """Return the mail's subject, empty where the database has none."""
    return next((known.subject for known in known_of(mail)), "")


def known_of(mail: MailRecord) -> list[Copy | Rejection]:
    """Return all that the database has of the mail's headers, copies first."""
    return [*mail.copies, *mail.rejections]


def rejections_now(mail: MailRecord) -> list[Rejection]:
    """Return the rejections that count: those of the reason for which the mail is in Quarantine."""
    if mail.claim.state != ClaimState.QUARANTINED:
        return []
    return [rejection for rejection in mail.rejections if rejection.reason == mail.claim.reason]


def timeline(mail: MailRecord, words: Words) -> list[Step]:
    """Return the steps of a mail in their order, those still to come at the end."""
    claim = mail.claim
    steps = [*_arrival(mail, words), *_ends(mail, words)]
    steps.sort(key=lambda step: step.at or _LATEST)
    if claim.assigned_by:
        steps.append(Step(at=None, text=words("step.assigned", by=claim.assigned_by)))
    if claim.last_error:
        steps.append(Step(at=None, text=words("step.error", error=claim.last_error)))
    if claim.ended_at is None:
        steps.append(Step(at=None, text=words("step.attempts", attempts=claim.attempts)))
        if claim.lease_until is not None:
            steps.append(Step(at=claim.lease_until, text=words("step.working")))
        elif claim.next_try_at is not None:
            steps.append(Step(at=claim.next_try_at, text=words("step.next")))
    return steps


def _arrival(mail: MailRecord, words: Words) -> Iterator[Step]:
    claim = mail.claim
    yield Step(at=claim.first_seen_at, text=words("step.announced", trigger=words(f"trigger.{claim.trigger}")))
    known = (known.received_at for known in known_of(mail))
    if (received := claim.received_at or next(known, None)) is not None:
        yield Step(at=received, text=words("step.received", mailbox=claim.mailbox))
    if claim.enqueued_at is not None:
        yield Step(at=claim.enqueued_at, text=words("step.enqueued"))


def _ends(mail: MailRecord, words: Words) -> Iterator[Step]:
    for rejection in mail.rejections:
        yield Step(at=rejection.rejected_at, text=words("step.rejected", reason=words(f"reason.{rejection.reason}")))
    for copy in mail.copies:
        yield Step(at=copy.stored_at, text=words("step.stored", tenant=copy.tenant or copy.tenant_id))
    if mail.claim.ended_at is not None:
        yield Step(at=mail.claim.ended_at, text=words(f"step.{mail.claim.state}"))


def _chosen(service: MailHistories, mail: MailRecord, part_id: int) -> tuple[Copy, PartRecord] | None:
    for copy in mail.copies:
        for part in service.parts(copy.duplicate_of or copy.id):
            if part.id == part_id and part.blob_name:
                return copy, part
    return None
