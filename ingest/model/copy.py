"""A tenant's copy of a message, as it was saved."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.codes import HeldReason


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedCopy:
    """The copy on record after `save`.

    `new`: this save has recorded the original and the parts. `linked`: an earlier copy of the same mail has the parts.
    Neither: the copy was on record before. `held`: the reason why the copy waits in the tenant's waiting room; None
    where the DMS sees the documents.
    """

    new: bool = False
    linked: bool = False
    held: HeldReason | None = None
