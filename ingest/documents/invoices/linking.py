"""The PDF and the XML of one invoice: found in a mail's parts, and linked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ingest.codes import Disposition
from ingest.documents import media_types
from ingest.model.part import Part

_SHORTEST_NUMBER = 4  # characters; a shorter invoice number in a file name is chance


def link_invoices(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts. A PDF that shows an invoice which also came as XML has the XML's position as `related`."""
    xml = [part for part in parts if part.disposition is Disposition.DOCUMENT and _is_xml_invoice(part)]
    return tuple(
        replace(part, related=_invoice_shown_by(part, xml))
        if part.disposition is Disposition.DOCUMENT and part.detected_type == media_types.PDF
        else part
        for part in parts
    )


def _is_xml_invoice(part: Part) -> bool:
    return part.invoice is not None and part.detected_type == media_types.XML


def _invoice_shown_by(pdf: Part, xml: Iterable[Part]) -> int | None:
    """Return the position of the XML: matched by the invoice inside the PDF, or else by the two file names."""
    return next((part.position for part in xml if _same_invoice(pdf, part)), None)


def _same_invoice(pdf: Part, xml: Part) -> bool:
    assert xml.invoice is not None  # noqa: S101 - _is_xml_invoice chose the part
    if pdf.invoice is not None and pdf.invoice.number:
        return pdf.invoice.number == xml.invoice.number and pdf.invoice.seller == xml.invoice.seller
    number, pdf_stem, xml_stem = _letters(xml.invoice.number or ""), _stem(pdf.name), _stem(xml.name)
    return bool(pdf_stem) and (pdf_stem == xml_stem or (len(number) >= _SHORTEST_NUMBER and number in pdf_stem))


def _stem(name: str) -> str:
    return _letters(name.rpartition(".")[0])


def _letters(text: str) -> str:
    return re.sub(r"\W|_", "", text).casefold()
