"""The preview of a part: pictures of PDF pages, an invoice as a sheet, images, text in a sandboxed frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.content_links import Content, Form, Links
from console.invoice_sheet import MAX_BYTES, Sheet, read_sheet
from console.pdf_pages import render
from console.service import Contents
from operations.mails.history import Copy, PartRecord

MAX_PAGES = 5  # of a PDF; each is a process of its own
MAX_PDF = 50 * 1024 * 1024  # bytes
MAX_TEXT = 512 * 1024  # bytes of a text that are shown
# Types that every browser draws, and that can't run anything inside an image element.
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml", "image/avif"})
_XML_INVOICES = frozenset({"ubl_invoice", "ubl_credit_note", "cii"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A preview: an invoice's `sheet`, or links to content by `kind`. `more`: pages that are not shown."""

    kind: str
    sheet: Sheet | None = None
    source: str | None = None
    pages: tuple[str, ...] = ()
    more: int = 0


def content_of(copy: Copy, part: PartRecord, form: Form, page: int = 0) -> Content:
    """Return a part that has a blob as the target of a link."""
    return Content(
        container=copy.container,
        blob_name=part.blob_name or "",
        name=part.name,
        media_type=part.content_type or part.detected_type or "application/octet-stream",
        size=part.size or 0,
        form=form,
        page=page,
    )


def preview_kind(part: PartRecord) -> str | None:
    """Return `invoice`, `image`, `pdf` or `frame`; None for a part without a preview."""
    media_type = part.content_type or part.detected_type or ""
    if part.blob_name is None or part.encrypted or part.malicious:
        return None
    if part.invoice_kind in _XML_INVOICES:
        return "invoice"
    if media_type in IMAGES:
        return "image"
    if media_type == "application/pdf":
        return "pdf" if (part.size or 0) <= MAX_PDF else None
    if media_type.startswith("text/") or media_type in {"application/xml", "application/json", "message/rfc822"}:
        return "frame"
    return None


def preview_of(copy: Copy, part: PartRecord, service: Contents, links: Links) -> Preview:
    """Return the preview of a part. Raises what reading the blob raises."""
    kind = preview_kind(part)
    if kind == "invoice":
        sheet = read_sheet(head(service.read(copy.container, part.blob_name or ""), MAX_BYTES + 1))
        if sheet is not None:
            return Preview(kind="invoice", sheet=sheet)
        kind = "frame"
    if kind == "pdf":
        first = render(head(service.read(copy.container, part.blob_name or ""), MAX_PDF), 0)
        if first is None:
            return Preview(kind="none")
        shown = min(first.count, MAX_PAGES)
        pages = tuple(links.url(content_of(copy, part, Form.PREVIEW, page)) for page in range(shown))
        return Preview(kind="pdf", pages=pages, more=first.count - shown)
    if kind is None:
        return Preview(kind="none")
    return Preview(kind=kind, source=links.url(content_of(copy, part, Form.PREVIEW)))


def head(blocks: Iterator[bytes], most: int) -> bytes:
    """Return the first `most` bytes."""
    read = bytearray()
    for block in blocks:
        read += block
        if len(read) >= most:
            break
    return bytes(read[:most])
