"""Read e-invoices by readers that are not ours, and write their values to `reference.json`, or compare a corpus.

    pip install saxonche factur-x
    python -m tests.einvoices --kosit XRECHNUNG-VISUALIZATION/src/xsl                     (writes reference.json)
    python -m tests.einvoices --kosit XRECHNUNG-VISUALIZATION/src/xsl --corpus FOLDER     (compares, writes nothing)

KoSIT's XSLT reads the terms of EN 16931; it is the German authority's own.
https://github.com/itplr-kosit/xrechnung-visualization

The package factur-x finds the level of a CII, and the XML inside a PDF. XPath reads ZUGFeRD 1, which KoSIT leaves out.
https://github.com/akretion/factur-x
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ingest.documents.budget import Budget
from ingest.documents.invoices.einvoice import read_invoice
from ingest.documents.pdf.reading import read_pdf
from ingest.model.invoice import Invoice
from ingest.model.limits import Limits

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
REFERENCE = HERE / "reference.json"
_KOSIT = {
    "{urn:oasis:names:specification:ubl:schema:xsd:Invoice-2}Invoice": ("ubl_invoice", "ubl-invoice-xr"),
    "{urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2}CreditNote": ("ubl_credit_note", "ubl-creditnote-xr"),
    "{urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100}CrossIndustryInvoice": ("cii", "cii-xr"),
}
_XR = {"xr": "urn:ce.eu:en16931:2017:xoev-de:kosit:standard:xrechnung-1"}
_TERMS = {
    "identifier": "xr:PROCESS_CONTROL/xr:Specification_identifier",
    "number": "xr:Invoice_number",
    "issue_date": "xr:Invoice_issue_date",
    "seller": "xr:SELLER/xr:Seller_name",
    "total": "xr:DOCUMENT_TOTALS/xr:Invoice_total_amount_with_VAT",
    "currency": "xr:Invoice_currency_code",
}
_ZUGFERD_1 = "{urn:ferd:CrossIndustryDocument:invoice:1p0}CrossIndustryDocument"
_ZUGFERD_1_TERMS = {
    "identifier": "//*[local-name()='GuidelineSpecifiedDocumentContextParameter']/*[local-name()='ID']",
    "number": "/*/*[local-name()='HeaderExchangedDocument']/*[local-name()='ID']",
    "issue_date": "/*/*[local-name()='HeaderExchangedDocument']/*[local-name()='IssueDateTime']/*",
    "seller": "//*[local-name()='SellerTradeParty']/*[local-name()='Name']",
    "total": "//*[local-name()='GrandTotalAmount']",
    "currency": "//*[local-name()='InvoiceCurrencyCode']",
}


class References:
    """The readers that are not ours."""

    def __init__(self, kosit: Path) -> None:
        # Not among the packages of the tests: the values are recorded, and read anew on demand only.
        self._etree: Any = importlib.import_module("lxml.etree")
        self._facturx: Any = importlib.import_module("facturx")
        processor = importlib.import_module("saxonche").PySaxonProcessor(license=False)
        compiler = processor.new_xslt30_processor()
        self._processor: Any = processor
        self._sheets = {
            name: compiler.compile_stylesheet(stylesheet_file=str((kosit / f"{name}.xsl").resolve()))
            for _, name in _KOSIT.values()
        }

    def read(self, content: bytes) -> dict[str, str | None] | None:
        """Return the values of an XML or a PDF; None where the readers know no e-invoice in it."""
        is_pdf = content.startswith(b"%PDF")
        if is_pdf:
            _, content = self._facturx.get_xml_from_pdf(content, check_xsd=False)
        root = self._etree.fromstring(content) if content else None
        if root is None or root.tag not in {*_KOSIT, _ZUGFERD_1}:
            return None
        if root.tag == _ZUGFERD_1:
            kind, values = "cii", {name: _text(root.xpath(path)) for name, path in _ZUGFERD_1_TERMS.items()}
        else:
            kind, sheet = _KOSIT[root.tag]
            node = self._processor.parse_xml(xml_text=self._etree.tostring(root, encoding="unicode"))
            read = self._etree.fromstring(self._sheets[sheet].transform_to_string(xdm_node=node).encode())
            values = {name: read.findtext(path, namespaces=_XR) for name, path in _TERMS.items()}
        level = self._level(root) if kind == "cii" else None
        return {"kind": "zugferd" if is_pdf else kind, "level": level, **values}

    def _level(self, root: object) -> str | None:
        try:
            return str(self._facturx.get_level(root, self._facturx.get_flavor(root)))
        except ValueError:
            return None


def ours(content: bytes) -> Invoice | None:
    """Return the e-invoice in an XML or a PDF, as the app reads it."""
    if content.startswith(b"%PDF"):
        return read_pdf(io.BytesIO(content), len(content), budget=Budget(Limits())).invoice
    return read_invoice([content])


def differences(invoice: Invoice | None, reference: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the terms on which the app and the reference differ, but for the profile's name."""
    if invoice is None:
        yield "no e-invoice"
        return
    read = {name: None if value is None else str(value) for name, value in asdict(invoice).items()}
    for name in ("kind", "number", "issue_date", "seller", "currency"):
        if _plain(read[name]) != _plain(reference[name]):
            yield f"{name}: {read[name]!r}, not {reference[name]!r}"
    if invoice.total != _amount(reference["total"]):
        yield f"total: {invoice.total}, not {reference['total']}"


def _plain(text: str | None) -> str | None:
    """Return a text without the blanks around it and the line breaks in it; dates of CII as ISO writes them."""
    plain = " ".join((text or "").split())
    if len(plain) == len("20260101") and plain.isdecimal() and plain.startswith("20"):
        plain = f"{plain[:4]}-{plain[4:6]}-{plain[6:]}"
    return plain or None


def _amount(text: str | None) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None


def _text(found: list[Any]) -> str | None:
    return found[0].text if found else None


def _compare(references: References, corpus: Path) -> int:
    compared = different = 0
    for path in sorted(corpus.rglob("*")):
        if path.suffix.lower() not in {".xml", ".pdf"}:
            continue
        content = path.read_bytes()
        try:
            reference = references.read(content)
        except Exception as error:  # noqa: BLE001 - a corpus has broken files, and the readers have errors of their own
            print(f"{path}: not read by the reference ({type(error).__name__})")
            continue
        if reference is None:
            continue
        compared += 1
        for difference in differences(ours(content), reference):
            different += 1
            print(f"{path}: {difference}")
    print(f"{compared} e-invoices compared, {different} differences")
    return int(different > 0)


def main() -> int:
    """Write the reference of the samples, or compare a corpus; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.einvoices", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kosit", type=Path, required=True, help="the folder src/xsl of xrechnung-visualization")
    parser.add_argument("--corpus", type=Path, help="a folder with XML and PDF files")
    arguments = parser.parse_args()
    references = References(arguments.kosit)
    if arguments.corpus is not None:
        return _compare(references, arguments.corpus)
    read = {path.name: references.read(path.read_bytes()) for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"}
    REFERENCE.write_text(json.dumps(read, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
