"""A part of a mail and its fate."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.codes import ActiveContent, Disposition, Rule
from ingest.model.blob import StoredBlob
from ingest.model.invoice import Invoice


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a mail and its fate.

    `position`: its place in the mail, parts of a container after it. `parent`: the position of the container that
    it came in. `size` in bytes and `sha256` are those of its content, where it could be read; `blob` is None
    where that is not stored. `related`: the position of the part that it belongs to: the first one of
    the same content, or the XML of the invoice that it shows.
    """

    position: int
    parent: int | None = None
    name: str = field(repr=False)
    declared_type: str | None
    detected_type: str | None = None
    type_mismatch: bool = False
    encrypted: bool = False
    disposition: Disposition
    rule: Rule
    size: int | None = None
    sha256: str | None = None
    blob: StoredBlob | None = None
    invoice: Invoice | None = None
    active_content: tuple[ActiveContent, ...] = ()
    related: int | None = None

    @property
    def content_type(self) -> str | None:
        """Return the detected type; for text, which has no signature, the declared one."""
        declared = (self.declared_type or "").partition(";")[0].strip().lower()
        if self.detected_type == "text/plain" and not self.type_mismatch and declared.startswith("text/"):
            return declared
        return self.detected_type
