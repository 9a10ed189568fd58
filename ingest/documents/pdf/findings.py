"""The findings in a PDF file, as the reader of its objects returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from ingest.documents.budget import Budget
from ingest.model.invoice import Invoice

INTRICATE = "the PDF is too large or too intricate to look into"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pdf:
    """The findings in one PDF. `problem`: in words, if the PDF could not be read."""

    encrypted: bool = False
    invoice: Invoice | None = None
    problem: str | None = None


type ReadObjects = Callable[[IO[bytes], Budget], Pdf]
