"""E-invoices: XRechnung, ZUGFeRD, and what is wrong with some of them."""

from __future__ import annotations

from tests.mails import invoices
from tests.mails.catalogue.contents import said
from tests.mails.catalogue.sample import GREETING, OCTETS, PDF, XML, Expected, Family
from tests.mails.invoices import pdf
from tests.mails.mime import file, mail, multipart, text

FAMILY = Family()


@FAMILY.sample
def xrechnung_ubl_with_pdf(expected: Expected) -> bytes:
    """An XRechnung in UBL and the PDF that shows it, linked by their names."""
    xml, shown = invoices.ubl("RE-2025-0314"), pdf("Rechnung RE-2025-0314")
    expected.add(
        "document",
        "file",
        "RE-2025-0314.xml",
        "text/xml",
        XML,
        xml,
        invoice=said("ubl_invoice", "xrechnung_3.0", "RE-2025-0314"),
    )
    expected.add("document", "file", "Rechnung_RE-2025-0314.pdf", PDF, PDF, shown, related=1)
    expected.pdf("AGB.pdf", pdf("AGB"))
    return mail(
        "Rechnung RE-2025-0314",
        multipart(
            "mixed",
            text(GREETING),
            file("RE-2025-0314.xml", "text/xml", xml),
            file("Rechnung_RE-2025-0314.pdf", PDF, shown),
            file("AGB.pdf", PDF, pdf("AGB")),
        ),
    )


@FAMILY.sample
def xrechnung_cii_and_credit_note(expected: Expected) -> bytes:
    """An XRechnung in CII, and a credit note in UBL; in UTF-16, as some programs write."""
    xml = invoices.cii("CII-7")
    credit = invoices.ubl("GS-7", total="119.00", net="100.00", tax="19.00", credit=True)
    credit = credit.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16")
    expected.add("document", "file", "cii.xml", XML, XML, xml, invoice=said("cii", "xrechnung_3.0", "CII-7"))
    expected.add(
        "document",
        "file",
        "gutschrift.xml",
        OCTETS,
        XML,
        credit,
        invoice=said("ubl_credit_note", "xrechnung_3.0", "GS-7", total="119.00"),
    )
    return mail(
        "E-Rechnungen",
        multipart("mixed", text(GREETING), file("cii.xml", XML, xml), file("gutschrift.xml", OCTETS, credit)),
    )


@FAMILY.sample
def zugferd_profiles(expected: Expected) -> bytes:
    """ZUGFeRD and Factur-X: XML inside of the PDF, in two profiles; the XML of one of them once more by itself."""
    full = invoices.cii("ZF-1", profile=invoices.EN16931)
    least = invoices.cii("ZF-2", profile=invoices.MINIMUM)
    one, two = (
        invoices.zugferd("Rechnung ZF-1", full),
        invoices.zugferd("Rechnung ZF-2", least, name="zugferd-invoice.xml"),
    )
    expected.add("document", "file", "a.pdf", PDF, PDF, one, related=3, invoice=said("zugferd", "en16931", "ZF-1"))
    expected.add("document", "file", "b.pdf", PDF, PDF, two, invoice=said("zugferd", "minimum", "ZF-2"))
    expected.add("document", "file", "factur-x.xml", XML, XML, full, invoice=said("cii", "en16931", "ZF-1"))
    return mail(
        "ZUGFeRD",
        multipart(
            "mixed",
            text(GREETING),
            file("a.pdf", PDF, one),
            file("b.pdf", PDF, two),
            file("factur-x.xml", XML, full),
        ),
    )


@FAMILY.sample
def broken_einvoices(expected: Expected) -> bytes:
    """Cut off, without a number, with entities that expand to gigabytes, in a damaged PDF: still documents."""
    whole = invoices.ubl("RE-9")
    cut = whole[: whole.index(b"<cac:PaymentMeans>")]
    unnumbered = whole.replace(b"<cbc:ID>RE-9</cbc:ID>", b"").replace(b"1190.00</cbc:TaxInc", b"viel</cbc:TaxInc")
    laughs = b"".join(
        b'<!ENTITY l%d "%s">' % (number, b"&l%d;" % (number - 1) * 10 if number else b"ha") for number in range(10)
    )
    laughing = whole.replace(b"<Invoice", b"<!DOCTYPE Invoice [" + laughs + b"]>\n<Invoice").replace(b"RE-9", b"&l9;")
    damaged = invoices.zugferd("Rechnung RE-10", invoices.cii("RE-10"))
    damaged = damaged.replace(b"/Root", b"/Ruut").replace(b"/Catalog", b"/Katalog")
    line = cut.count(b"\n") + 1
    expected.add(
        "document",
        "file",
        "abgeschnitten.xml",
        XML,
        XML,
        cut,
        invoice=f"ubl_invoice xrechnung_3.0 RE-9 2025-03-14 Nordlicht GmbH - EUR"
        f" problem: the XML is broken in line {line}: no element found; no total with VAT (BT-112)",
    )
    expected.add(
        "document",
        "file",
        "ohne Nummer.xml",
        XML,
        XML,
        unnumbered,
        invoice="ubl_invoice xrechnung_3.0 - 2025-03-14 Nordlicht GmbH - EUR"
        " problem: no invoice number (BT-1); the total with VAT (BT-112) is no amount",
    )
    expected.add(
        "document",
        "file",
        "lachend.xml",
        XML,
        XML,
        laughing,
        invoice="ubl_invoice - - - - - - problem: it has a document type declaration, which is refused",
    )
    expected.add(
        "document",
        "file",
        "beschaedigt.pdf",
        PDF,
        PDF,
        damaged,
        invoice="zugferd - - - - - - problem: the PDF is damaged (PdfReadError)",
    )
    return mail(
        "Kaputte E-Rechnungen",
        multipart(
            "mixed",
            text(GREETING),
            file("abgeschnitten.xml", XML, cut),
            file("ohne Nummer.xml", XML, unnumbered),
            file("lachend.xml", XML, laughing),
            file("beschaedigt.pdf", PDF, damaged),
        ),
    )
