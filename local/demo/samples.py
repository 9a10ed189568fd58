"""The documents that the demo's mails carry: an invoice as PDF and as XRechnung, letters, a scan, a logo.

The same bytes on every run (with the same versions of fpdf2 and Pillow), so that hashes can be compared.
"""

import functools
import io
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from xml.sax.saxutils import escape

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

ISSUED_AT = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class _Line:
    text: str
    unit: str  # UN/ECE Recommendation 20: HUR is hours, C62 pieces
    quantity: Decimal
    price: Decimal

    @property
    def total(self) -> Decimal:
        return self.quantity * self.price


INVOICE_NUMBER = "RE-2025-0314"
_LINES = (
    _Line(text="Beratung Digitalisierung, Stunden", unit="HUR", quantity=Decimal(12), price=Decimal("95.00")),
    _Line(text="Dokumentenscanner A4 duplex", unit="C62", quantity=Decimal(1), price=Decimal("389.00")),
    _Line(text="Einrichtung vor Ort, pauschal", unit="C62", quantity=Decimal(1), price=Decimal("150.00")),
)
_NET = sum((line.total for line in _LINES), Decimal(0))
_TAX = (_NET * Decimal("0.19")).quantize(Decimal("0.01"))
_GROSS = _NET + _TAX
_IBAN = "DE02120300000000202051"  # a published sample account


def _euro(amount: Decimal) -> str:
    return f"{amount:,.2f} EUR".translate(str.maketrans(",.", ".,"))


def _page() -> FPDF:
    pdf = FPDF(format="A4")
    pdf.set_creation_date(ISSUED_AT)
    pdf.set_margin(20)
    pdf.add_page()
    pdf.set_font("Helvetica", size=10)
    return pdf


def letter_pdf(title: str) -> bytes:
    """Make a letter of one page."""
    pdf = _page()
    pdf.set_font(style="B", size=16)
    pdf.cell(0, 12, title, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(style="", size=10)
    pdf.multi_cell(0, 6, "Nordlicht GmbH, Hafenstraße 7, 20457 Hamburg\n\n" + "Mit der Bitte um Kenntnisnahme. " * 20)
    return bytes(pdf.output())


def invoice_pdf() -> bytes:
    """Make a German invoice of one page."""
    pdf = _page()
    pdf.set_font(style="B", size=18)
    pdf.cell(0, 10, "Nordlicht GmbH", align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(style="", size=9)
    pdf.multi_cell(
        0,
        4.5,
        "Hafenstraße 7\n20457 Hamburg\nUSt-IdNr. DE123456789",
        align="R",
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.ln(6)
    pdf.set_font(size=10)
    pdf.multi_cell(
        0,
        5,
        "Tischlerei Südhang e. K.\nFrau Käthe Öztürk\nAm Südhang 12\n79098 Freiburg im Breisgau",
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.ln(12)
    pdf.set_font(style="B", size=14)
    pdf.cell(0, 8, f"Rechnung {INVOICE_NUMBER}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(style="", size=10)
    pdf.cell(0, 6, "Rechnungsdatum 14.03.2025, Leistungszeitraum Februar 2025", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    with pdf.table(col_widths=(10, 85, 20, 30, 30), text_align=("LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT")) as table:
        table.row(("Pos.", "Bezeichnung", "Menge", "Einzelpreis", "Gesamt"))
        for position, line in enumerate(_LINES, start=1):
            table.row((str(position), line.text, str(line.quantity), _euro(line.price), _euro(line.total)))
    pdf.ln(4)
    for label, amount in (("Nettobetrag", _NET), ("zzgl. 19 % USt.", _TAX), ("Rechnungsbetrag", _GROSS)):
        pdf.set_font(style="B" if amount is _GROSS else "")
        pdf.cell(140, 6, label, align="R")
        pdf.cell(0, 6, _euro(amount), align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(style="")
    pdf.ln(8)
    pdf.multi_cell(
        0, 5, f"Zahlbar ohne Abzug bis zum 28.03.2025 auf das Konto {_IBAN}.\nVielen Dank für Ihren Auftrag!"
    )
    return bytes(pdf.output())


def logo_png() -> bytes:
    """Make the logo that stands in the sender's HTML signature."""
    logo = Image.new("RGB", (160, 48), "#0b3d5c")
    ImageDraw.Draw(logo).text((12, 12), "NORDLICHT", fill="white", font=ImageFont.load_default(20))
    return _encoded(logo, "PNG")


@functools.cache
def scan_pdf() -> bytes:
    """Make pages as a scanner delivers them, grain included, so that they are as big as scans are: 25 MB."""
    width, height, pages = 2480, 3508, 4  # A4 at 300 dpi
    grain = random.Random(20250314)  # noqa: S311 - an image, not a secret; must be the same on each run
    pdf = FPDF(format="A4")
    pdf.set_creation_date(ISSUED_AT)
    for number in range(1, pages + 1):
        paper = Image.frombytes("L", (width, height), grain.randbytes(width * height))
        page = Image.blend(Image.new("L", (width, height), 235), paper, 0.17)
        draw = ImageDraw.Draw(page)
        for row in range(40):
            draw.text(
                (250, 300 + 70 * row),
                f"Seite {number}, Zeile {row + 1}",
                fill=30,
                font=ImageFont.load_default(48),
            )
        pdf.add_page()
        pdf.image(io.BytesIO(_encoded(page, "JPEG")), x=0, y=0, w=210, h=297)
    return bytes(pdf.output())


def _encoded(image: Image.Image, kind: Literal["PNG", "JPEG"]) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, quality=98)
    return target.getvalue()


def xrechnung_xml() -> bytes:
    """Make the same invoice as an XRechnung 3.0 in UBL syntax (EN 16931 with the German rules BR-DE-*)."""
    lines = "".join(
        f"""
  <cac:InvoiceLine>
    <cbc:ID>{position}</cbc:ID>
    <cbc:InvoicedQuantity unitCode="{line.unit}">{line.quantity}</cbc:InvoicedQuantity>
    <cbc:LineExtensionAmount currencyID="EUR">{line.total:.2f}</cbc:LineExtensionAmount>
    <cac:Item>
      <cbc:Name>{escape(line.text)}</cbc:Name>
      <cac:ClassifiedTaxCategory>
        <cbc:ID>S</cbc:ID>
        <cbc:Percent>19</cbc:Percent>
        <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>
      </cac:ClassifiedTaxCategory>
    </cac:Item>
    <cac:Price><cbc:PriceAmount currencyID="EUR">{line.price:.2f}</cbc:PriceAmount></cac:Price>
  </cac:InvoiceLine>"""
        for position, line in enumerate(_LINES, start=1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
         xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
         xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
  <cbc:CustomizationID>urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0</cbc:CustomizationID>
  <cbc:ProfileID>urn:fdc:peppol.eu:2017:poacc:billing:01:1.0</cbc:ProfileID>
  <cbc:ID>{INVOICE_NUMBER}</cbc:ID>
  <cbc:IssueDate>2025-03-14</cbc:IssueDate>
  <cbc:DueDate>2025-03-28</cbc:DueDate>
  <cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>
  <cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
  <cbc:BuyerReference>04011000-12345-03</cbc:BuyerReference>
  <cac:InvoicePeriod>
    <cbc:StartDate>2025-02-01</cbc:StartDate>
    <cbc:EndDate>2025-02-28</cbc:EndDate>
  </cac:InvoicePeriod>
  <cac:AccountingSupplierParty>
    <cac:Party>
      <cbc:EndpointID schemeID="EM">rechnung@nordlicht.example</cbc:EndpointID>
      <cac:PartyName><cbc:Name>Nordlicht GmbH</cbc:Name></cac:PartyName>
      <cac:PostalAddress>
        <cbc:StreetName>Hafenstraße 7</cbc:StreetName>
        <cbc:CityName>Hamburg</cbc:CityName>
        <cbc:PostalZone>20457</cbc:PostalZone>
        <cac:Country><cbc:IdentificationCode>DE</cbc:IdentificationCode></cac:Country>
      </cac:PostalAddress>
      <cac:PartyTaxScheme>
        <cbc:CompanyID>DE123456789</cbc:CompanyID>
        <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>
      </cac:PartyTaxScheme>
      <cac:PartyLegalEntity><cbc:RegistrationName>Nordlicht GmbH</cbc:RegistrationName></cac:PartyLegalEntity>
      <cac:Contact>
        <cbc:Name>Rechnungsstelle</cbc:Name>
        <cbc:Telephone>+49 40 1234567</cbc:Telephone>
        <cbc:ElectronicMail>rechnung@nordlicht.example</cbc:ElectronicMail>
      </cac:Contact>
    </cac:Party>
  </cac:AccountingSupplierParty>
  <cac:AccountingCustomerParty>
    <cac:Party>
      <cbc:EndpointID schemeID="EM">buchhaltung@suedhang.example</cbc:EndpointID>
      <cac:PartyName><cbc:Name>Tischlerei Südhang e. K.</cbc:Name></cac:PartyName>
      <cac:PostalAddress>
        <cbc:StreetName>Am Südhang 12</cbc:StreetName>
        <cbc:CityName>Freiburg im Breisgau</cbc:CityName>
        <cbc:PostalZone>79098</cbc:PostalZone>
        <cac:Country><cbc:IdentificationCode>DE</cbc:IdentificationCode></cac:Country>
      </cac:PostalAddress>
      <cac:PartyLegalEntity>
        <cbc:RegistrationName>Tischlerei Südhang e. K.</cbc:RegistrationName>
      </cac:PartyLegalEntity>
    </cac:Party>
  </cac:AccountingCustomerParty>
  <cac:PaymentMeans>
    <cbc:PaymentMeansCode>58</cbc:PaymentMeansCode>
    <cac:PayeeFinancialAccount><cbc:ID>{_IBAN}</cbc:ID></cac:PayeeFinancialAccount>
  </cac:PaymentMeans>
  <cac:PaymentTerms><cbc:Note>Zahlbar ohne Abzug bis zum 28.03.2025.</cbc:Note></cac:PaymentTerms>
  <cac:TaxTotal>
    <cbc:TaxAmount currencyID="EUR">{_TAX}</cbc:TaxAmount>
    <cac:TaxSubtotal>
      <cbc:TaxableAmount currencyID="EUR">{_NET:.2f}</cbc:TaxableAmount>
      <cbc:TaxAmount currencyID="EUR">{_TAX}</cbc:TaxAmount>
      <cac:TaxCategory>
        <cbc:ID>S</cbc:ID>
        <cbc:Percent>19</cbc:Percent>
        <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>
      </cac:TaxCategory>
    </cac:TaxSubtotal>
  </cac:TaxTotal>
  <cac:LegalMonetaryTotal>
    <cbc:LineExtensionAmount currencyID="EUR">{_NET:.2f}</cbc:LineExtensionAmount>
    <cbc:TaxExclusiveAmount currencyID="EUR">{_NET:.2f}</cbc:TaxExclusiveAmount>
    <cbc:TaxInclusiveAmount currencyID="EUR">{_GROSS:.2f}</cbc:TaxInclusiveAmount>
    <cbc:PayableAmount currencyID="EUR">{_GROSS:.2f}</cbc:PayableAmount>
  </cac:LegalMonetaryTotal>{lines}
</Invoice>
""".encode()
