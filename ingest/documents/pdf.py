"""PDF files: encryption, and the e-invoice that a PDF may carry. Read by pypdf.

https://www.ferd-net.de/standards/zugferd
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO

from ingest.codes import Rule
from ingest.documents.einvoice import read_invoice
from ingest.documents.spool import read_range
from ingest.documents.unpacking.bounded import Bounded
from ingest.errors import IngestError, PartRejected
from ingest.model import Invoice, InvoiceKind

# Of ZUGFeRD 1 and 2, Factur-X, and XRechnung as a ZUGFeRD profile.
INVOICE_NAMES = frozenset({"factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml"})
MAX_INVOICE = 8 * 1024 * 1024  # bytes of the XML, and of each stream that is expanded on the way to the XML
_AT_ONCE = 16 * 1024 * 1024  # bytes; pypdf searches a damaged file as a whole
_IN_ALL = 256 * 1024 * 1024  # bytes
_CALLS = 500_000  # reads and seeks; a sound file of 1,000 pages takes a few thousand
_MAX_ATTACHMENTS = 100  # files in one PDF that are looked at
_BUFFER = 64 * 1024  # bytes

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # pypdf logs details of strangers' files

# A PDF without any of these is neither encrypted nor carries a file. None of them stands inside a compressed object
# stream (ISO 32000-1, 7.5.7), so a plain search of the bytes is exact. Most PDFs need no library.
_HINTS = (b"/Encrypt", b"/EmbeddedFile", b"#2Fxml")


def _as_written(name: str) -> bytes:
    """Return a pattern for a name in a PDF string: plain, with octal escapes, or in UTF-16."""
    plain = "".join(char if char.isalnum() else rf"(?:{re.escape(char)}|\\{ord(char):03o})" for char in name)
    return b"%s|%s" % (plain.encode(), re.escape(name.encode("utf-16-be")))


# The ending of every name. A plain search for the ending is faster than the pattern, which tries every byte.
_ENDINGS = (b"xml", "xml".encode("utf-16-be"))
_NAMES_IN_FILE = re.compile(b"|".join(map(_as_written, sorted(INVOICE_NAMES))), re.IGNORECASE)
_OVERLAP = 128  # bytes: longer than any of these names


@dataclass(frozen=True, kw_only=True, slots=True)
class Pdf:
    """The findings in one PDF."""

    encrypted: bool = False
    invoice: Invoice | None = None


def read_pdf(file: IO[bytes], size: int) -> Pdf:
    """Look into a PDF of `size` bytes.

    A PDF that pypdf cannot read may still open in other programs, so the part stays a document. Raises only
    PartRejected(too_costly), from the budget of `file`.
    """
    if not any(any(hint in window for hint in _HINTS) for window in _windows(file, size)):
        return Pdf()
    try:
        return _read(file)
    except PartRejected as rejected:
        if rejected.rule is Rule.TOO_COSTLY:
            raise
        problem = "the PDF is too large or too intricate to look into"
    except IngestError:
        raise
    except Exception as error:  # noqa: BLE001 - pypdf documents no root error
        problem = f"the PDF is damaged ({type(error).__name__})"
    named = any(_names_invoice(window) for window in _windows(file, size))
    return Pdf(invoice=Invoice(kind=InvoiceKind.ZUGFERD, problem=problem) if named else None)


def _names_invoice(window: bytes) -> bool:
    lowered = window.lower()
    return any(ending in lowered for ending in _ENDINGS) and _NAMES_IN_FILE.search(lowered) is not None


def _windows(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file in pieces that overlap, so that a name across a border is found."""
    tail = b""
    for block in read_range(file, 0, size):
        yield tail + block
        tail = block[-_OVERLAP:]


def _read(file: IO[bytes]) -> Pdf:
    import pypdf  # noqa: PLC0415 - slow to import, and few files need it

    bound = Bounded(file, at_once=_AT_ONCE, in_all=_IN_ALL, calls=_CALLS, rule=Rule.TOO_LARGE)
    with pypdf.apply_configuration(
        maximum_declared_stream_length=_AT_ONCE,
        array_based_stream_maximum_output_length=MAX_INVOICE,
        zlib_maximum_output_length=MAX_INVOICE,
        lzw_maximum_output_length=MAX_INVOICE,
        run_length_maximum_output_length=MAX_INVOICE,
        stream_decoding_work_maximum_length=4 * MAX_INVOICE,
        disable_legacy_handling=True,
    ):
        reader = pypdf.PdfReader(io.BufferedReader(bound, buffer_size=_BUFFER))
        if reader.is_encrypted:
            return Pdf(encrypted=True)
        for attachment in islice(reader.attachment_list, _MAX_ATTACHMENTS):
            if attachment.name.lower() in INVOICE_NAMES:
                return Pdf(invoice=_as_zugferd(read_invoice([attachment.content])))
        return Pdf()


def _as_zugferd(invoice: Invoice | None) -> Invoice | None:
    """Return the invoice with the kind that its syntax has inside a PDF: CII is ZUGFeRD there."""
    if invoice is None or invoice.kind is not InvoiceKind.CII:
        return invoice
    return replace(invoice, kind=InvoiceKind.ZUGFERD)
