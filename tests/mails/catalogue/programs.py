"""Mails as common programs write them: Outlook, Apple Mail, Thunderbird, Gmail."""

from __future__ import annotations

from tests.mails.catalogue.contents import jpeg, png
from tests.mails.catalogue.sample import GREETING, OCTETS, PDF, PNG, Expected, Family
from tests.mails.invoices import pdf
from tests.mails.mime import file, mail, multipart, text

FAMILY = Family()


@FAMILY.sample
def outlook_reply_with_logos(expected: Expected) -> bytes:
    """Outlook: the logo related to the HTML; one more logo marked as an ordinary attachment, but shown."""
    html = text('<p>Anbei.</p><img src="cid:image001.png@01DB"><img src="cid:image002.jpg@01DB">', "html")
    related = multipart(
        "related",
        multipart("alternative", text(GREETING), html),
        file("image001.png", PNG, png("eins"), disposition="inline", cid="image001.png@01DB"),
    )
    offer = pdf("Angebot 4711")
    expected.add("inline_image", "shown_in_body", "image001.png", PNG, PNG, png("eins"))
    expected.pdf("Angebot 4711.pdf", offer)
    expected.add("inline_image", "shown_in_body", "image002.jpg", OCTETS, "image/jpeg", jpeg("zwei"))
    return mail(
        "AW: Angebot 4711",
        multipart(
            "mixed",
            related,
            file("Angebot 4711.pdf", PDF, offer),
            file("image002.jpg", OCTETS, jpeg("zwei"), cid="image002.jpg@01DB"),
        ),
        mailer="Microsoft Outlook 16.0",
    )


@FAMILY.sample
def apple_mail_inline_pdf(expected: Expected) -> bytes:
    """Apple Mail: real PDFs and photos inline between pieces of text; resource forks beside them."""
    invoice, fork = pdf("Rechnung 1"), bytes.fromhex("00051607") + bytes(60)
    expected.pdf("Rechnung 1.pdf", invoice)
    expected.add("document", "file", "Lieferschein.jpeg", "image/jpeg", "image/jpeg", jpeg("Lieferschein"))
    expected.add(
        "rejected", "system_file", "Plan.pdf", "application/applefile", "application/applefile", fork, mismatch=True
    )
    return mail(
        "Rechnung und Lieferschein",
        multipart(
            "mixed",
            text("Hier die Rechnung:\n"),
            file("Rechnung 1.pdf", PDF, invoice, disposition="inline", cid="8F1C@apple"),
            text("\nund hier der Lieferschein:\n"),
            file("Lieferschein.jpeg", "image/jpeg", jpeg("Lieferschein"), disposition="inline", cid="91AA@apple"),
            file("Plan.pdf", "application/applefile", fork),
            text("\n\nVon meinem iPhone gesendet\n"),
        ),
        mailer="Apple Mail (2.3774.600.62)",
    )


@FAMILY.sample
def thunderbird_openpgp(expected: Expected) -> bytes:
    """Thunderbird: a PGP signature over a mail with an attached PDF and the sender's key."""
    statement = pdf("Kontoauszug")
    key = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n\r\nxjMEZ\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n"
    signature = b"-----BEGIN PGP SIGNATURE-----\r\n\r\nwsB5BAABCAAj\r\n-----END PGP SIGNATURE-----\r\n"
    expected.pdf("Kontoauszug.pdf", statement)
    expected.add("signature", "pgp", "OpenPGP_0x1234.asc", "application/pgp-keys", "application/pgp-keys", key)
    expected.add(
        "signature", "pgp", "OpenPGP_signature.asc", "application/pgp-signature", "application/pgp-signature", signature
    )
    return mail(
        "Kontoauszug",
        multipart(
            "signed",
            multipart(
                "mixed",
                text(GREETING),
                file("Kontoauszug.pdf", PDF, statement),
                file("OpenPGP_0x1234.asc", "application/pgp-keys", key),
            ),
            file("OpenPGP_signature.asc", "application/pgp-signature", signature),
            parameters='; micalg=pgp-sha512; protocol="application/pgp-signature"',
        ),
        mailer="Mozilla Thunderbird",
    )


@FAMILY.sample
def gmail_photo_not_shown(expected: Expected) -> bytes:
    """Gmail: every attachment has a content id, whether it is shown or not."""
    receipt = pdf("Quittung")
    expected.add("document", "file", "IMG_2041.jpg", "image/jpeg", "image/jpeg", jpeg("Foto"))
    expected.pdf("Quittung.pdf", receipt)
    return mail(
        "Quittung",
        multipart(
            "mixed",
            multipart("alternative", text(GREETING), text("<div dir=ltr>Guten Tag</div>", "html")),
            file("IMG_2041.jpg", "image/jpeg", jpeg("Foto"), cid="f_m8a1", extra=["X-Attachment-Id: f_m8a1"]),
            file("Quittung.pdf", PDF, receipt, cid="f_m8a2", extra=["X-Attachment-Id: f_m8a2"]),
        ),
    )


@FAMILY.sample
def business_card_and_meeting(expected: Expected) -> bytes:
    """A vCard and an appointment: neither is a document."""
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jan Krug\r\nEND:VCARD\r\n"
    meeting = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Abnahme\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    mime = mail(
        "Termin zur Abnahme",
        multipart(
            "mixed",
            text(GREETING),
            file("Jan Krug.vcf", "text/x-vcard", card),
            file("Abnahme.ics", "text/calendar; method=REQUEST", meeting),
        ),
    )
    expected.add("signature", "vcard", "Jan Krug.vcf", "text/x-vcard", "text/vcard", card)
    expected.add("calendar", "icalendar", "Abnahme.ics", "text/calendar", "text/calendar", meeting)
    expected.original("Termin zur Abnahme", mime)
    return mime


@FAMILY.sample
def only_text(expected: Expected) -> bytes:
    """A mail without any attachment is a document itself."""
    mime = mail("Auftrag 12 bestätigt", text("Hiermit bestätigen wir Ihren Auftrag.\n"))
    expected.original("Auftrag 12 bestätigt", mime)
    return mime


@FAMILY.sample
def cloud_attachment(expected: Expected) -> tuple[bytes, str]:
    """A link to a file in OneDrive beside a PDF: Graph is not asked for the link."""
    plan = pdf("Plan")
    expected.pdf("Plan.pdf", plan)
    content = multipart("mixed", text(GREETING), file("Plan.pdf", PDF, plan))
    return mail("Pläne", content, extra=["X-MS-Has-Attach: yes"]), "Pläne 2025.pdf"


@FAMILY.sample
def cloud_attachment_alone(expected: Expected) -> tuple[bytes, str]:
    """A link and nothing else: only the header, and Graph's listing, say that there is an attachment."""
    mime = mail("Vertrag", text(GREETING), extra=["X-MS-Has-Attach: yes"])
    expected.add("link", "cloud_attachment", "Vertrag 2025.pdf", None, None, None)
    expected.original("Vertrag", mime)
    return mime, "Vertrag 2025.pdf"
