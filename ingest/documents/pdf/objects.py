"""The objects of a PDF, read by pypdf: encryption, and the e-invoice among the embedded files.

The app runs this module in a process of its own (`ingest.documents.pdf.reader_pool`).
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import IO

import pypdf

from ingest.codes import Rule
from ingest.documents.invoices.einvoice import NAMES_IN_PDF, read_invoice
from ingest.documents.pdf.findings import INTRICATE, Pdf
from ingest.documents.unpacking.bounded import Bounded
from ingest.errors import IngestError, PartRejected
from ingest.model.invoice import Invoice, InvoiceKind

MAX_INVOICE = 8 * 1024 * 1024  # bytes of the XML, and of each stream that is expanded on the way to the XML
_UBL = frozenset({InvoiceKind.UBL_INVOICE, InvoiceKind.UBL_CREDIT_NOTE})
_AT_ONCE = 16 * 1024 * 1024  # bytes; pypdf searches a damaged file as a whole
_IN_ALL = 256 * 1024 * 1024  # bytes
_CALLS = 500_000  # reads and seeks; a sound file of 1,000 pages takes a few thousand
_MAX_ATTACHMENTS = 100  # files in one PDF that are looked at
_BUFFER = 64 * 1024  # bytes
_FREE_ENTRIES = 1000  # of the cross-reference table, of any file
_SMALLEST_OBJECT = 4  # bytes of the file for each further entry, on average and compressed

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # pypdf logs details of strangers' files


def read_objects(file: IO[bytes]) -> Pdf:
    """Read a PDF. Raises only PartRejected(too_costly), from the budget of `file`."""
    try:
        return _read(file)
    except PartRejected as rejected:
        if rejected.rule is Rule.TOO_COSTLY:
            raise
        return Pdf(problem=INTRICATE)
    except IngestError:
        raise
    except MemoryError:
        return Pdf(problem=INTRICATE)
    except Exception as error:  # noqa: BLE001 - pypdf documents no root error
        return Pdf(problem=f"the PDF is damaged ({type(error).__name__})")


def _read(file: IO[bytes]) -> Pdf:
    size = file.seek(0, io.SEEK_END)
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
        reader = pypdf.PdfReader(
            io.BufferedReader(bound, buffer_size=_BUFFER),
            xref_stream_maximum_entries=_FREE_ENTRIES + size // _SMALLEST_OBJECT,
        )
        if reader.is_encrypted:
            return Pdf(encrypted=True)
        return Pdf(invoice=_invoice(islice(reader.attachment_list, _MAX_ATTACHMENTS)))


def _invoice(attachments: Iterable[pypdf.generic.EmbeddedFile]) -> Invoice | None:
    """Return the e-invoice: CII by its name in the standards, or else UBL under any name (Odoo, OCA)."""
    other: Invoice | None = None
    for attachment in attachments:
        name = attachment.name.lower()
        if name in NAMES_IN_PDF:
            return _as_zugferd(read_invoice([attachment.content]), name)
        if other is None and name.endswith(".xml"):
            found = read_invoice([attachment.content])
            other = found if found is not None and found.kind in _UBL else None
    return other


def _as_zugferd(invoice: Invoice | None, name: str) -> Invoice:
    """Return the invoice with the kind that its syntax has inside a PDF: CII is ZUGFeRD there."""
    if invoice is None:
        return Invoice(kind=InvoiceKind.ZUGFERD, problem=f"{name} in the PDF breaks off, or is no e-invoice")
    return replace(invoice, kind=InvoiceKind.ZUGFERD) if invoice.kind is InvoiceKind.CII else invoice
