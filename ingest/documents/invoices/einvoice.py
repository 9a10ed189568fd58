"""E-invoices by EN 16931: recognised by their root element, and read for the columns of the document list.

UBL Invoice and CreditNote, UN/CEFACT Cross Industry Invoice (CII), and the XML of ZUGFeRD 1 from which CII came.
Expat reads the XML in one pass, so memory does not follow its size. A document type declaration ends the reading,
because only a declaration can define entities (https://docs.python.org/3/library/xml.html#xml-security).

This module is no validator: values are taken as written. An invoice that lacks a mandatory term or breaks off is
still an invoice, and `problem` names the fault.

https://docs.peppol.eu/poacc/billing/3.0/syntax/ubl-invoice/tree/
https://xeinkauf.de/xrechnung/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from xml.parsers import expat

from ingest.model.invoice import Invoice, InvoiceKind

# The XML inside a PDF, by ZUGFeRD 1 and 2, Factur-X, and XRechnung as a ZUGFeRD profile.
NAMES_IN_PDF = frozenset({"factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml"})
MAX_DEPTH = 100  # elements in elements; an invoice has about ten
MAX_ELEMENTS = 1_000_000
MAX_TEXT = 1000  # characters kept of one value
MAX_NUMBER = 200  # characters kept of the invoice number, which the database has an index on
MAX_TOKEN = 256 * 1024  # bytes of one tag or comment, which expat keeps whole in memory
STEP = 8 * 1024  # bytes given to expat at a time; two milliseconds, where all are tags

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CII = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
_ZUGFERD_1 = "urn:ferd:CrossIndustryDocument:invoice:1p0"
_KINDS = {
    f"{_UBL}Invoice-2 Invoice": InvoiceKind.UBL_INVOICE,
    f"{_UBL}CreditNote-2 CreditNote": InvoiceKind.UBL_CREDIT_NOTE,
    f"{_CII} CrossIndustryInvoice": InvoiceKind.CII,
    f"{_ZUGFERD_1} CrossIndustryDocument": InvoiceKind.CII,
}

# The path of each value below the root, by local names. The first path with a value counts.
_UBL_PATHS: Mapping[str, Sequence[str]] = {
    "profile": ("CustomizationID",),
    "number": ("ID",),
    "issue_date": ("IssueDate",),
    "seller": (
        "AccountingSupplierParty/Party/PartyLegalEntity/RegistrationName",
        "AccountingSupplierParty/Party/PartyName/Name",
    ),
    "total": ("LegalMonetaryTotal/TaxInclusiveAmount",),
    "currency": ("DocumentCurrencyCode",),
}
_CII_PATHS: Mapping[str, Sequence[str]] = {
    "profile": (
        "ExchangedDocumentContext/GuidelineSpecifiedDocumentContextParameter/ID",
        "SpecifiedExchangedDocumentContext/GuidelineSpecifiedDocumentContextParameter/ID",
    ),
    "number": ("ExchangedDocument/ID", "HeaderExchangedDocument/ID"),
    "issue_date": (
        "ExchangedDocument/IssueDateTime/DateTimeString",
        "HeaderExchangedDocument/IssueDateTime/DateTimeString",
    ),
    "seller": (
        "SupplyChainTradeTransaction/ApplicableHeaderTradeAgreement/SellerTradeParty/Name",
        "SpecifiedSupplyChainTradeTransaction/ApplicableSupplyChainTradeAgreement/SellerTradeParty/Name",
    ),
    "total": tuple(
        f"{transaction}/{settlement}/{summation}/GrandTotalAmount"
        for transaction, settlement, summation in (
            (
                "SupplyChainTradeTransaction",
                "ApplicableHeaderTradeSettlement",
                "SpecifiedTradeSettlementHeaderMonetarySummation",
            ),
            (
                "SpecifiedSupplyChainTradeTransaction",
                "ApplicableSupplyChainTradeSettlement",
                "SpecifiedTradeSettlementMonetarySummation",
            ),
        )
    ),
    "currency": (
        "SupplyChainTradeTransaction/ApplicableHeaderTradeSettlement/InvoiceCurrencyCode",
        "SpecifiedSupplyChainTradeTransaction/ApplicableSupplyChainTradeSettlement/InvoiceCurrencyCode",
    ),
}
_TERMS = {
    "number": "invoice number (BT-1)",
    "issue_date": "issue date (BT-2)",
    "seller": "seller (BT-27)",
    "total": "total with VAT (BT-112)",
    "currency": "currency (BT-5)",
}

# Patterns of the specification identifier (BT-24), and the usual short name of the profile.
_PROFILES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"xrechnung_(?P<version>[\d.]+)#conformant#.*extension", re.IGNORECASE), "xrechnung_{}_extension"),
    (re.compile(r"xrechnung_(?P<version>[\d.]+)", re.IGNORECASE), "xrechnung_{}"),
    (re.compile(r"peppol\.eu:2017:poacc:billing:(?P<version>[\d.]+)"), "peppol_bis_billing_{}"),
    (re.compile(r"(factur-x\.eu|zugferd\.de).*:minimum\Z", re.IGNORECASE), "minimum"),
    (re.compile(r"(factur-x\.eu|zugferd\.de).*:basicwl\Z", re.IGNORECASE), "basic_wl"),
    (re.compile(r"(factur-x\.eu|zugferd\.de|ferd:).*:basic\Z", re.IGNORECASE), "basic"),
    (re.compile(r"(factur-x\.eu|zugferd\.de|ferd:).*:extended\Z", re.IGNORECASE), "extended"),
    (re.compile(r"ferd:.*:comfort\Z", re.IGNORECASE), "comfort"),
    (re.compile(r"urn:cen\.eu:en16931:2017\Z"), "en16931"),
)


def read_invoice(xml: Iterable[bytes]) -> Invoice | None:
    """Read the e-invoice in `xml`; None if the XML is no e-invoice. Raises only errors of `xml` itself."""
    reader = _Reader()
    problem = reader.read(xml)
    if reader.kind is None:
        return None
    return _invoice(reader.kind, reader.values, problem)


class _Stop(Exception):
    """Signal from a handler that the reading ends. `problem` names a fault, if there is one."""

    def __init__(self, problem: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class _Reader:
    kind: InvoiceKind | None = None
    _terms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict)  # path → text
    _around: list[_Node] = field(default_factory=list)  # the elements around on the way to a value
    _aside: int = 0  # elements around that lead to no value
    _text: list[str] | None = None
    _length: int = 0
    _elements: int = 0

    @property
    def values(self) -> dict[str, str]:
        """Return the value of each term, empty if the XML has none."""
        found = ((term, next(filter(None, map(self._found.get, places)), "")) for term, places in self._terms.items())
        return dict(found)

    def read(self, xml: Iterable[bytes]) -> str | None:
        """Set kind and values. Return a fault in words, or None."""
        # Without the parser's own namespaces: those repeat a long identifier in the name of each element.
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.buffer_text = True
        try:
            fed = 0
            for piece in _pieces(xml):
                parser.Parse(piece, False)  # noqa: FBT003 - expat takes no keyword: not the last block
                fed += len(piece)
                if fed - parser.CurrentByteIndex > MAX_TOKEN:  # the index of the unfinished token
                    return "one of its tags is too long"
            parser.Parse(b"", True)  # noqa: FBT003 - the last one
        except _Stop as stop:
            return stop.problem
        except expat.ExpatError as error:
            return f"the XML is broken in line {error.lineno}: {expat.errors.messages[error.code]}"
        except (LookupError, ValueError) as error:
            return f"the XML can't be read: {type(error).__name__}"  # an unknown encoding
        return None

    def _doctype(self, name: str, *_: object) -> None:
        """Refuse the declaration. The declaration names the root element without its namespace."""
        local = name.rpartition(":")[2]
        self.kind = next((kind for root, kind in _KINDS.items() if root.rpartition(" ")[2] == local), None)
        raise _Stop("it has a document type declaration, which is refused")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.kind is None:
            self._root(name, attributes)
            return
        self._elements += 1
        if len(self._around) + self._aside > MAX_DEPTH:
            raise _Stop("its elements are nested too deep")
        if self._elements > MAX_ELEMENTS:
            raise _Stop("it has too many elements")
        self._text = None
        node = None if self._aside else self._around[-1].inside.get(name.rpartition(":")[2])
        if node is None:
            self._aside += 1
            return
        self._around.append(node)
        if node.path:
            self._text, self._length = [], 0

    def _root(self, name: str, attributes: Mapping[str, str]) -> None:
        """Recognise the invoice by its root element. The namespace of a root element is declared on the root itself."""
        prefix, _, local = name.rpartition(":")
        namespace = attributes.get(f"xmlns:{prefix}" if prefix else "xmlns", "")
        self.kind = _KINDS.get(f"{namespace} {local}")
        if self.kind is None:
            raise _Stop
        self._terms = _CII_PATHS if self.kind is InvoiceKind.CII else _UBL_PATHS
        self._around.append(_tree(path for alternatives in self._terms.values() for path in alternatives))

    def _end(self, _: str) -> None:
        if self._text is not None:
            self._found.setdefault(self._around[-1].path, "".join(self._text).strip()[:MAX_TEXT])
            self._text = None
        if self._aside:
            self._aside -= 1
        elif self._around:
            self._around.pop()

    def _characters(self, text: str) -> None:
        if self._text is not None and self._length < MAX_TEXT:
            self._text.append(text)
            self._length += len(text)


@dataclass(frozen=True, slots=True)
class _Node:
    """An element on the way to a value. `path` is that of the value, empty if the element has none."""

    path: str
    inside: dict[str, _Node] = field(default_factory=dict)


def _tree(paths: Iterable[str]) -> _Node:
    """Return the root over the elements of all paths."""
    wanted = frozenset(paths)
    root = _Node("")
    for path in wanted:
        node, names = root, path.split("/")
        for depth, name in enumerate(names, start=1):
            here = "/".join(names[:depth])
            node = node.inside.setdefault(name, _Node(here if here in wanted else ""))
    return root


def _pieces(xml: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the XML in pieces that are small beside MAX_TOKEN."""
    for block in xml:
        for start in range(0, len(block), STEP):
            yield block[start : start + STEP]


def _invoice(kind: InvoiceKind, values: Mapping[str, str], problem: str | None) -> Invoice:
    wrong = [] if problem is None else [problem]
    if problem is None or any(values.values()):
        wrong += [f"no {words}" for term, words in _TERMS.items() if not values.get(term)]
    issue_date, total = _date(values.get("issue_date", "")), _amount(values.get("total", ""))
    currency = values.get("currency") or None
    number = values.get("number", "")
    if len(number) > MAX_NUMBER:
        wrong.append(f"the invoice number (BT-1) is longer than {MAX_NUMBER} characters")
    if values.get("issue_date") and issue_date is None:
        wrong.append("the issue date (BT-2) is no date")
    if values.get("total") and total is None:
        wrong.append("the total with VAT (BT-112) is no amount")
    if currency is not None and not re.fullmatch("[A-Z]{3}", currency):
        wrong.append("the currency (BT-5) is no code of three letters")
        currency = None
    return Invoice(
        kind=kind,
        profile=_profile(values.get("profile", "")),
        number=number[:MAX_NUMBER] or None,
        issue_date=issue_date,
        seller=values.get("seller") or None,
        total=total,
        currency=currency,
        problem="; ".join(wrong) or None,
    )


def _profile(identifier: str) -> str | None:
    for pattern, name in _PROFILES:
        if match := pattern.search(identifier):
            return name.format(match.groupdict().get("version", ""))
    return identifier or None


def _date(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%Y%m%d"):  # ISO in UBL, format 102 in CII
        try:
            return datetime.strptime(text[:10], form).date()  # noqa: DTZ007 - a date has no time zone
        except ValueError:
            continue
    return None


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    # The column in Postgres takes 15 digits before the point.
    return amount if amount.is_finite() and abs(amount.adjusted()) <= 15 else None  # noqa: PLR2004 - digits
