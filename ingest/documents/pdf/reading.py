"""PDF files: encryption, and the e-invoice that a PDF may carry. Most files need a search for a few words only.

https://www.ferd-net.de/standards/zugferd
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from ingest.documents.budget import Budget
from ingest.documents.invoices.einvoice import NAMES_IN_PDF
from ingest.documents.pdf.findings import Pdf, ReadObjects
from ingest.documents.spool import read_range
from ingest.model.invoice import Invoice, InvoiceKind

# A PDF without any of these is neither encrypted nor carries a file. None of them stands inside a compressed object
# stream (ISO 32000-1, 7.5.7), so a plain search of the bytes is exact. Most PDFs need no library.
_HINTS = (b"/Encrypt", b"/EmbeddedFile", b"#2Fxml")


def _as_written(name: str) -> bytes:
    """Return a pattern for a name in a PDF string: plain, with octal escapes, or in UTF-16."""
    plain = "".join(char if char.isalnum() else rf"(?:{re.escape(char)}|\\{ord(char):03o})" for char in name)
    return b"%s|%s" % (plain.encode(), re.escape(name.encode("utf-16-be")))


# The ending of every name. A plain search for the ending is faster than the pattern, which tries every byte.
_ENDINGS = (b"xml", "xml".encode("utf-16-be"))
_NAMES_IN_FILE = re.compile(b"|".join(map(_as_written, sorted(NAMES_IN_PDF))), re.IGNORECASE)
_OVERLAP = 128  # bytes: longer than any of these names


def read_objects_here(file: IO[bytes], _: Budget) -> Pdf:
    """Read the objects of a PDF in this process: for tests and tools. The app has a ReaderPool."""
    from ingest.documents.pdf.objects import read_objects  # noqa: PLC0415 - with pypdf, which the app loads elsewhere

    return read_objects(file)


def read_pdf(file: IO[bytes], size: int, *, budget: Budget, read_objects: ReadObjects = read_objects_here) -> Pdf:
    """Look into a PDF of `size` bytes. Raises the errors of `read_objects`.

    A PDF that cannot be read here may still open in other programs. Such a PDF is an e-invoice with a problem if it
    names one.
    """
    if not any(any(hint in window for hint in _HINTS) for window in _windows(file, size)):
        return Pdf()
    found = read_objects(file, budget)
    if found.problem is not None and any(_names_invoice(window) for window in _windows(file, size)):
        return Pdf(invoice=Invoice(kind=InvoiceKind.ZUGFERD, problem=found.problem))
    return found


def _names_invoice(window: bytes) -> bool:
    lowered = window.lower()
    return any(ending in lowered for ending in _ENDINGS) and _NAMES_IN_FILE.search(lowered) is not None


def _windows(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file in pieces that overlap, so that a name across a border is found."""
    tail = b""
    for block in read_range(file, 0, size):
        yield tail + block
        tail = block[-_OVERLAP:]
