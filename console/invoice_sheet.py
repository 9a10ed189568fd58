"""An e-invoice as a person reads it: parties, lines, taxes, payment, from UBL or CII.

Terms by EN 16931 (BT-…, BG-…). XML with a document type declaration is refused: only there could entities hide
(https://docs.python.org/3/library/xml.html#xml-security). Values are shown as written; nothing is added up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

MAX_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 60
MAX_LINES = 1000  # shown; the number of all is shown, too
_UBL = re.compile(r"urn:oasis:names:specification:ubl:schema:xsd:(Invoice|CreditNote)-2\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """Seller or buyer: name, address as lines, VAT identifier."""

    name: str
    address: tuple[str, ...] = ()
    vat_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """An invoice line (BG-25)."""

    number: str
    name: str
    quantity: str
    unit: str
    price: str
    amount: str
    vat_rate: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tax:
    """A VAT breakdown (BG-23)."""

    rate: str
    base: str
    amount: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """The invoice. Every value is text as written, empty where the invoice has none."""

    number: str
    issue_date: str
    due_date: str
    currency: str
    credit_note: bool
    seller: Party
    buyer: Party
    order_reference: str
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    line_count: int
    taxes: tuple[Tax, ...]
    net: str
    tax: str
    gross: str
    payable: str
    iban: str
    terms: str


def read_sheet(xml: bytes) -> Sheet | None:
    """Return the invoice in `xml`; None for other XML, broken XML and XML that is too large or too deep to show."""
    if len(xml) > MAX_BYTES:
        return None
    try:
        root = _parsed(xml)
    except (ET.ParseError, ValueError, LookupError):
        return None
    namespace, _, name = root.tag.rpartition("}")
    if _UBL.match(namespace.lstrip("{")):
        return _ubl(root, credit_note=name == "CreditNote")
    if name == "CrossIndustryInvoice":
        return _cii(root)
    return None


class _Builder(ET.TreeBuilder):
    """A tree builder that refuses declarations and depth."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def doctype(self, name: str, pubid: str, system: str) -> None:  # noqa: ARG002 - as the parser calls it
        """Refuse a document type declaration."""
        raise ValueError("the XML has a document type declaration")

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        """Begin an element, as long as the tree is not too deep."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("the XML is too deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """End an element."""
        self._depth -= 1
        return super().end(tag)


def _parsed(xml: bytes) -> Element:
    parser = ET.XMLParser(target=_Builder())  # noqa: S314 - _Builder refuses what could expand
    parser.feed(xml)
    root = parser.close()
    assert isinstance(root, Element)  # noqa: S101 - what TreeBuilder gives
    return root


def _all(element: Element | None, path: str) -> list[Element]:
    """Return the elements at a path of local names, in any namespace."""
    return [] if element is None else element.findall("/".join(f"{{*}}{name}" for name in path.split("/")))


def _one(element: Element | None, *paths: str) -> Element | None:
    return next((found for path in paths for found in _all(element, path)), None)


def _text(element: Element | None, *paths: str) -> str:
    found = _one(element, *paths)
    return " ".join((found.text or "").split())[:1000] if found is not None else ""


def _lines_of(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _date(text: str) -> str:
    """Return a date of CII (20251127) as ISO 8601; any other text as written."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"\d{8}", text) else text


# UBL: https://docs.peppol.eu/poacc/billing/3.0/syntax/ubl-invoice/tree/


def _ubl(root: Element, *, credit_note: bool) -> Sheet:
    rows = _all(root, "CreditNoteLine" if credit_note else "InvoiceLine")
    totals = _one(root, "LegalMonetaryTotal")
    return Sheet(
        number=_text(root, "ID"),
        issue_date=_text(root, "IssueDate"),
        due_date=_text(root, "DueDate", "PaymentMeans/PaymentDueDate"),
        currency=_text(root, "DocumentCurrencyCode"),
        credit_note=credit_note,
        seller=_ubl_party(_one(root, "AccountingSupplierParty/Party")),
        buyer=_ubl_party(_one(root, "AccountingCustomerParty/Party")),
        order_reference=_text(root, "OrderReference/ID", "BuyerReference"),
        notes=_lines_of([" ".join((note.text or "").split())[:1000] for note in _all(root, "Note")]),
        lines=tuple(_ubl_line(row) for row in rows[:MAX_LINES]),
        line_count=len(rows),
        taxes=tuple(
            Tax(
                rate=_text(tax, "TaxCategory/Percent"),
                base=_text(tax, "TaxableAmount"),
                amount=_text(tax, "TaxAmount"),
            )
            for tax in _all(root, "TaxTotal/TaxSubtotal")
        ),
        net=_text(totals, "TaxExclusiveAmount"),
        tax=_text(root, "TaxTotal/TaxAmount"),
        gross=_text(totals, "TaxInclusiveAmount"),
        payable=_text(totals, "PayableAmount"),
        iban=_text(root, "PaymentMeans/PayeeFinancialAccount/ID"),
        terms=_text(root, "PaymentTerms/Note"),
    )


def _ubl_party(party: Element | None) -> Party:
    address = _one(party, "PostalAddress")
    return Party(
        name=_text(party, "PartyLegalEntity/RegistrationName", "PartyName/Name"),
        address=_lines_of(
            [
                _text(address, "StreetName"),
                _text(address, "AdditionalStreetName"),
                f"{_text(address, 'PostalZone')} {_text(address, 'CityName')}".strip(),
                _text(address, "Country/IdentificationCode"),
            ]
        ),
        vat_id=_text(party, "PartyTaxScheme/CompanyID"),
    )


def _ubl_line(row: Element) -> Line:
    quantity = _one(row, "InvoicedQuantity", "CreditedQuantity")
    return Line(
        number=_text(row, "ID"),
        name=_text(row, "Item/Name"),
        quantity=_text(row, "InvoicedQuantity", "CreditedQuantity"),
        unit=quantity.get("unitCode", "")[:20] if quantity is not None else "",
        price=_text(row, "Price/PriceAmount"),
        amount=_text(row, "LineExtensionAmount"),
        vat_rate=_text(row, "Item/ClassifiedTaxCategory/Percent"),
    )


# CII: https://unece.org/trade/uncefact/e-invoice


def _cii(root: Element) -> Sheet:
    transaction = _one(root, "SupplyChainTradeTransaction")
    agreement = _one(transaction, "ApplicableHeaderTradeAgreement")
    settlement = _one(transaction, "ApplicableHeaderTradeSettlement")
    totals = _one(settlement, "SpecifiedTradeSettlementHeaderMonetarySummation")
    rows = _all(transaction, "IncludedSupplyChainTradeLineItem")
    return Sheet(
        number=_text(root, "ExchangedDocument/ID"),
        issue_date=_date(_text(root, "ExchangedDocument/IssueDateTime/DateTimeString")),
        due_date=_date(_text(settlement, "SpecifiedTradePaymentTerms/DueDateDateTime/DateTimeString")),
        currency=_text(settlement, "InvoiceCurrencyCode"),
        credit_note=_text(root, "ExchangedDocument/TypeCode") == "381",
        seller=_cii_party(_one(agreement, "SellerTradeParty")),
        buyer=_cii_party(_one(agreement, "BuyerTradeParty")),
        order_reference=_text(agreement, "BuyerOrderReferencedDocument/IssuerAssignedID", "BuyerReference"),
        notes=_lines_of([_text(note, "Content") for note in _all(root, "ExchangedDocument/IncludedNote")]),
        lines=tuple(_cii_line(row) for row in rows[:MAX_LINES]),
        line_count=len(rows),
        taxes=tuple(
            Tax(
                rate=_text(tax, "RateApplicablePercent"),
                base=_text(tax, "BasisAmount"),
                amount=_text(tax, "CalculatedAmount"),
            )
            for tax in _all(settlement, "ApplicableTradeTax")
        ),
        net=_text(totals, "TaxBasisTotalAmount"),
        tax=_text(totals, "TaxTotalAmount"),
        gross=_text(totals, "GrandTotalAmount"),
        payable=_text(totals, "DuePayableAmount"),
        iban=_text(settlement, "SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/IBANID"),
        terms=_text(settlement, "SpecifiedTradePaymentTerms/Description"),
    )


def _cii_party(party: Element | None) -> Party:
    address = _one(party, "PostalTradeAddress")
    return Party(
        name=_text(party, "Name"),
        address=_lines_of(
            [
                _text(address, "LineOne"),
                _text(address, "LineTwo"),
                f"{_text(address, 'PostcodeCode')} {_text(address, 'CityName')}".strip(),
                _text(address, "CountryID"),
            ]
        ),
        vat_id=_text(party, "SpecifiedTaxRegistration/ID"),
    )


def _cii_line(row: Element) -> Line:
    quantity = _one(row, "SpecifiedLineTradeDelivery/BilledQuantity")
    return Line(
        number=_text(row, "AssociatedDocumentLineDocument/LineID"),
        name=_text(row, "SpecifiedTradeProduct/Name"),
        quantity=_text(row, "SpecifiedLineTradeDelivery/BilledQuantity"),
        unit=quantity.get("unitCode", "")[:20] if quantity is not None else "",
        price=_text(row, "SpecifiedLineTradeAgreement/NetPriceProductTradePrice/ChargeAmount"),
        amount=_text(row, "SpecifiedLineTradeSettlement/SpecifiedTradeSettlementLineMonetarySummation/LineTotalAmount"),
        vat_rate=_text(row, "SpecifiedLineTradeSettlement/ApplicableTradeTax/RateApplicablePercent"),
    )
