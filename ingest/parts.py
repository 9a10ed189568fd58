"""Which attachments are documents, and why the others are not. Pure: decided before anything is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ingest.model import Attachment, AttachmentKind, Disposition


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPart:
    """What is to become of an attachment. `stored`: whether its content goes to Blob."""

    attachment: Attachment
    name: str
    disposition: Disposition
    reason: str | None = None

    @property
    def stored(self) -> bool:
        """Whether there is content to keep; a link has none."""
        return self.disposition is not Disposition.LINK and self.disposition is not Disposition.REJECTED


def needs_body(attachments: Iterable[Attachment]) -> bool:
    """Whether the body decides something: only an image with a content id can be part of the layout."""
    return any(_may_be_layout(attachment) for attachment in attachments)


def plan_parts(attachments: Iterable[Attachment], cids_in_body: AbstractSet[str]) -> tuple[PlannedPart, ...]:
    """One planned part for each attachment, in Graph's order: parts in = dispositions out.

    `cids_in_body`: the content ids that the body refers to. Graph's `isInline` is wrong both ways (logos come as
    not inline, Apple Mail sends real PDFs as inline), so an image is layout only where the body shows it.
    """
    return tuple(_plan(attachment, cids_in_body) for attachment in attachments)


def _plan(attachment: Attachment, cids_in_body: AbstractSet[str]) -> PlannedPart:
    match attachment.kind:
        case AttachmentKind.REFERENCE:
            return PlannedPart(
                attachment=attachment,
                name=attachment.name,
                disposition=Disposition.LINK,
                reason="cloud_attachment",
            )
        case AttachmentKind.UNKNOWN:
            return PlannedPart(
                attachment=attachment,
                name=attachment.name,
                disposition=Disposition.REJECTED,
                reason="unknown_attachment_type",
            )
        case AttachmentKind.ITEM:
            return PlannedPart(attachment=attachment, name=_item_name(attachment), disposition=Disposition.DOCUMENT)
        case AttachmentKind.FILE:
            layout = _may_be_layout(attachment) and attachment.content_id in cids_in_body
            return PlannedPart(
                attachment=attachment,
                name=attachment.name,
                disposition=Disposition.INLINE_IMAGE if layout else Disposition.DOCUMENT,
                reason="shown_in_body" if layout else None,
            )


def _may_be_layout(attachment: Attachment) -> bool:
    return (
        attachment.kind is AttachmentKind.FILE
        and (attachment.content_type or "").lower().startswith("image/")
        and bool(attachment.content_id)
    )


def _item_name(attachment: Attachment) -> str:
    """Graph names an attached mail by its subject alone; what it hands out is MIME."""
    return attachment.name if attachment.name.lower().endswith(".eml") else f"{attachment.name}.eml"
