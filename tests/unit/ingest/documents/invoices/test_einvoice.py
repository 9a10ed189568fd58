"""The facts of e-invoices, and XML that must do no harm."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.codes import Disposition, Rule
from ingest.documents.budget import Budget
from ingest.documents.invoices.einvoice import read_invoice
from ingest.documents.invoices.linking import link_invoices
from ingest.documents.pdf.findings import Pdf
from ingest.documents.pdf.reading import read_pdf
from ingest.model.invoice import Invoice, InvoiceKind
from ingest.model.limits import Limits
from ingest.model.part import Part
from tests.mails import invoices

PAYLOADS = Path(__file__).parents[4] / "payloads" / "documents"
ZUGFERD_1 = b"""<rsm:CrossIndustryDocument xmlns:rsm="urn:ferd:CrossIndustryDocument:invoice:1p0"
  xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:12"
  xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:15">
  <rsm:SpecifiedExchangedDocumentContext><ram:GuidelineSpecifiedDocumentContextParameter>
    <ram:ID>urn:ferd:CrossIndustryDocument:invoice:1p0:comfort</ram:ID>
  </ram:GuidelineSpecifiedDocumentContextParameter></rsm:SpecifiedExchangedDocumentContext>
  <rsm:HeaderExchangedDocument><ram:ID>471102</ram:ID>
    <ram:IssueDateTime><udt:DateTimeString format="102">20130305</udt:DateTimeString></ram:IssueDateTime>
  </rsm:HeaderExchangedDocument>
  <rsm:SpecifiedSupplyChainTradeTransaction>
    <ram:ApplicableSupplyChainTradeAgreement>
      <ram:SellerTradeParty><ram:Name>Lieferant GmbH</ram:Name></ram:SellerTradeParty>
    </ram:ApplicableSupplyChainTradeAgreement>
    <ram:ApplicableSupplyChainTradeSettlement>
      <ram:InvoiceCurrencyCode>EUR</ram:InvoiceCurrencyCode>
      <ram:SpecifiedTradeSettlementMonetarySummation>
        <ram:GrandTotalAmount currencyID="EUR">235.62</ram:GrandTotalAmount>
      </ram:SpecifiedTradeSettlementMonetarySummation>
    </ram:ApplicableSupplyChainTradeSettlement>
  </rsm:SpecifiedSupplyChainTradeTransaction>
</rsm:CrossIndustryDocument>"""


def read(xml: bytes) -> Invoice:
    invoice = read_invoice([xml])
    assert invoice is not None
    return invoice


def test_an_invoice_in_ubl_is_read() -> None:
    assert read(invoices.ubl("RE-1")) == Invoice(
        kind=InvoiceKind.UBL_INVOICE,
        profile="xrechnung_3.0",
        number="RE-1",
        issue_date=date(2025, 3, 14),
        seller="Nordlicht GmbH",
        total=Decimal("1190.00"),
        currency="EUR",
    )


def test_a_credit_note_in_ubl_is_read() -> None:
    assert read(invoices.ubl("GS-1", credit=True)).kind is InvoiceKind.UBL_CREDIT_NOTE


def test_an_invoice_in_cii_is_read() -> None:
    invoice = read(invoices.cii("RE & Söhne"))
    assert (invoice.kind, invoice.number, invoice.problem) == (InvoiceKind.CII, "RE & Söhne", None)
    assert (invoice.issue_date, invoice.total) == (date(2025, 3, 14), Decimal("1190.00"))


def test_zugferd_of_the_first_version_is_read() -> None:
    assert read(ZUGFERD_1) == Invoice(
        kind=InvoiceKind.CII,
        profile="comfort",
        number="471102",
        issue_date=date(2013, 3, 5),
        seller="Lieferant GmbH",
        total=Decimal("235.62"),
        currency="EUR",
    )


@pytest.mark.parametrize(
    ("identifier", "profile"),
    [
        ("urn:cen.eu:en16931:2017", "en16931"),
        ("urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0", "xrechnung_3.0"),
        ("urn:cen.eu:en16931:2017#compliant#urn:xoev-de:kosit:standard:xrechnung_2.3", "xrechnung_2.3"),
        (
            f"{invoices.XRECHNUNG}#conformant#urn:xeinkauf.de:kosit:extension:xrechnung_3.0",
            "xrechnung_3.0_extension",
        ),
        ("urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0", "peppol_bis_billing_3.0"),
        ("urn:factur-x.eu:1p0:minimum", "minimum"),
        ("urn:factur-x.eu:1p0:basicwl", "basic_wl"),
        ("urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic", "basic"),
        ("urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended", "extended"),
        ("urn:example:something-else", "urn:example:something-else"),
    ],
)
def test_a_known_specification_has_a_short_profile_name(identifier: str, profile: str) -> None:
    assert read(invoices.cii("1", profile=identifier)).profile == profile


def look_into(pdf: bytes) -> Pdf:
    return read_pdf(io.BytesIO(pdf), len(pdf), budget=Budget(Limits()))


@pytest.mark.parametrize("name", ["factur-x.xml", "ZUGFeRD-invoice.xml", "xrechnung.xml"])
def test_an_invoice_in_a_pdf_is_read(name: str) -> None:
    pdf = invoices.zugferd("Rechnung", invoices.cii("ZF-1"), name=name)
    found = look_into(pdf)
    assert found.invoice is not None
    assert (found.invoice.kind, found.invoice.number) == (InvoiceKind.ZUGFERD, "ZF-1")
    assert not found.encrypted


@pytest.mark.parametrize("name", ["UBL-Invoice-2.1.xml", "INV_2025_00001_ubl_bis3.xml", "factur-x.xml"])
def test_ubl_in_a_pdf_under_any_name(name: str) -> None:
    found = look_into(invoices.zugferd("Rechnung", invoices.ubl("OD-1"), name=name)).invoice
    assert found is not None
    assert (found.kind, found.number, found.problem) == (InvoiceKind.UBL_INVOICE, "OD-1", None)


def test_an_invoice_that_breaks_off_in_a_sound_pdf_has_a_problem() -> None:
    pdf = PAYLOADS.joinpath("pdf-with-unreadable-factur-x.pdf").read_bytes()
    found = look_into(pdf).invoice
    assert found is not None
    assert (found.kind, found.number) == (InvoiceKind.ZUGFERD, None)
    assert found.problem == "factur-x.xml in the PDF breaks off, or is no e-invoice"


def test_a_pdf_with_ubl_inside_is_linked_to_the_same_invoice_as_xml_and_not_to_itself() -> None:
    invoice = read(invoices.ubl("OD-1"))
    pdf = Part(
        position=1,
        name="Rechnung.pdf",
        declared_type=None,
        detected_type="application/pdf",
        disposition=Disposition.DOCUMENT,
        rule=Rule.FILE,
        invoice=invoice,
    )
    xml = replace(pdf, position=2, name="anders.xml", detected_type="application/xml")
    assert [part.related for part in link_invoices([pdf])] == [None]
    assert [part.related for part in link_invoices([pdf, xml])] == [2, None]


def test_other_files_in_a_pdf_are_no_invoices() -> None:
    pdf = invoices.zugferd("Rechnung", invoices.cii("ZF-1"), name="order-x.xml")
    assert look_into(pdf).invoice is None


def test_an_encrypted_pdf_is_recognised() -> None:
    pdf = invoices.encrypted_pdf("Lohn")
    assert look_into(pdf).encrypted


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"no XML",
        b"<Invoice/>",
        b'<html xmlns="http://www.w3.org/1999/xhtml"/>',
        b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>',
    ],
)
def test_other_xml_is_no_invoice(xml: bytes) -> None:
    assert read_invoice([xml]) is None


@pytest.mark.parametrize(
    "declaration",
    [
        b'<!DOCTYPE Invoice [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE Invoice SYSTEM "http://127.0.0.1/evil.dtd">',
        b'<!DOCTYPE Invoice [<!ENTITY a "' + b"A" * 10_000 + b'"><!ENTITY b "' + b"&a;" * 10_000 + b'">]>',
    ],
)
def test_no_entity_is_ever_expanded(declaration: bytes) -> None:
    xml = invoices.ubl("&x;").replace(b"?>\n<Invoice", b"?>\n" + declaration + b"<Invoice").replace(b"&amp;x;", b"&x;")
    invoice = read(xml)
    assert invoice.number is None
    assert invoice.problem == "it has a document type declaration, which is refused"


def test_depth_and_length_are_bounded() -> None:
    deep = read(invoices.ubl("RE-1").replace(b"<cbc:IssueDate>", b"<a>" * 10_000 + b"<cbc:IssueDate>"))
    assert deep.problem is not None
    assert "nested too deep" in deep.problem
    long = read(invoices.ubl("9" * 5000))
    assert long.number == "9" * 200
    assert long.problem == "the invoice number (BT-1) is longer than 200 characters"
    assert read(invoices.ubl("9" * 200)).problem is None


@pytest.mark.parametrize("tag", [b"<a ", b"<!-- "])
def test_a_tag_without_end_is_not_waited_for(tag: bytes) -> None:
    given = 0

    def blocks() -> Iterator[bytes]:
        nonlocal given
        head, _, _ = invoices.ubl("RE-1").partition(b"<cbc:IssueDate>")
        yield head + tag
        for number in range(1000):
            given += 1
            yield b"".join(b' b%d-%d=""' % (number, count) for count in range(10_000))

    invoice = read_invoice(blocks())
    assert invoice is not None
    assert invoice.number == "RE-1"
    assert invoice.problem is not None
    assert "one of its tags is too long" in invoice.problem
    assert given < 20


def test_a_long_text_is_no_long_tag() -> None:
    xml = invoices.ubl("RE-1").replace(b"<cbc:IssueDate>", b"<a>" + b"x" * 3_000_000 + b"</a><cbc:IssueDate>")
    assert read(xml).problem is None


def test_a_total_beyond_reason_is_no_amount() -> None:
    for total in ("1e400", "NaN", "viel", "9" * 30):
        invoice = read(invoices.ubl("RE-1", total=total))
        assert invoice.total is None
        assert invoice.problem == "the total with VAT (BT-112) is no amount"
