"""Signed and encrypted mails, and encrypted files."""

from __future__ import annotations

from tests.mails import invoices
from tests.mails.catalogue.contents import encrypt, encrypted_zip, sign
from tests.mails.catalogue.sample import GREETING, MAIL, PDF, TXT, ZIP, Expected, Family
from tests.mails.invoices import pdf
from tests.mails.mime import attached, entity, file, mail, multipart, text

FAMILY = Family()


@FAMILY.sample
def smime_signature(expected: Expected) -> bytes:
    """S/MIME with a detached signature."""
    invoice = pdf("Rechnung, signiert")
    signed = multipart("mixed", text(GREETING), file("Rechnung.pdf", PDF, invoice))
    signature = sign(signed, detached=True)
    expected.pdf("Rechnung.pdf", invoice)
    expected.add(
        "signature",
        "smime_signature",
        "smime.p7s",
        "application/pkcs7-signature",
        "application/pkcs7-signature",
        signature,
    )
    return mail(
        "Signierte Rechnung",
        multipart(
            "signed",
            signed,
            file("smime.p7s", "application/pkcs7-signature", signature),
            parameters='; protocol="application/pkcs7-signature"; micalg=sha-256',
        ),
    )


@FAMILY.sample
def smime_opaque(expected: Expected) -> bytes:
    """S/MIME with everything inside of the signature; in it a mail, in that the document."""
    invoice = pdf("Rechnung, undurchsichtig signiert")
    inner = multipart("mixed", text(GREETING), file("Rechnung.pdf", PDF, invoice))
    signed = sign(inner, detached=False)
    outer = expected.add(
        "container", "signed_mail", "smime.p7m", "application/pkcs7-mime", "application/pkcs7-mime", signed
    )
    mail_inside = expected.add("container", "attached_mail", "smime.eml", MAIL, MAIL, inner, inside=outer)
    expected.pdf("Rechnung.pdf", invoice, inside=mail_inside)
    return mail(
        "Undurchsichtig signiert",
        file("smime.p7m", "application/pkcs7-mime; smime-type=signed-data", signed),
    )


@FAMILY.sample
def smime_signed_by_exchange(expected: Expected) -> bytes:
    """A mail with a detached signature as Exchange lists it: all of it as one attachment smime.p7m."""
    invoice = pdf("Rechnung, von Exchange verpackt")
    signed = multipart("mixed", text(GREETING), file("Rechnung.pdf", PDF, invoice))
    signature = sign(signed, detached=True)
    whole = multipart(
        "signed",
        signed,
        file("smime.p7s", "application/pkcs7-signature", signature),
        parameters='; protocol="application/pkcs7-signature"; micalg=sha-256',
    )
    outer = expected.add("container", "attached_mail", "smime.p7m", "application/x-signed", MAIL, whole, mismatch=True)
    expected.pdf("Rechnung.pdf", invoice, inside=outer)
    expected.add(
        "signature",
        "smime_signature",
        "smime.p7s",
        "application/pkcs7-signature",
        "application/pkcs7-signature",
        signature,
        inside=outer,
    )
    return mail(
        "Signiert, über Exchange",
        multipart("mixed", text(GREETING), file("smime.p7m", "application/x-signed", whole)),
    )


@FAMILY.sample
def smime_encrypted(expected: Expected) -> bytes:
    """S/MIME for the key of another person: it can't be opened here, and is kept as it is."""
    secret = encrypt(multipart("mixed", text(GREETING), file("Rechnung.pdf", PDF, pdf("geheim"))))
    expected.add(
        "document",
        "encrypted",
        "smime.p7m",
        "application/pkcs7-mime",
        "application/pkcs7-mime",
        secret,
        encrypted=True,
    )
    return mail("Verschlüsselt", file("smime.p7m", "application/pkcs7-mime; smime-type=enveloped-data", secret))


@FAMILY.sample
def smime_report(expected: Expected) -> bytes:
    """A bounce that returns an encrypted mail: Exchange can't make the MIME of such a report either."""
    secret = encrypt(multipart("mixed", text(GREETING), file("Rechnung.pdf", PDF, pdf("zurück"))))
    returned = mail("Verschlüsselt", file("smime.p7m", "application/pkcs7-mime; smime-type=enveloped-data", secret))
    status = (
        b"Reporting-MTA: dns; mx.nordlicht.example\r\n\r\n"
        b"Final-Recipient: rfc822; kunde@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    )
    expected.add("document", "file", "ATT00001.bin", "message/delivery-status", TXT, status)
    outer = expected.add("container", "attached_mail", "Verschlüsselt.eml", None, MAIL, returned)
    expected.add(
        "document",
        "encrypted",
        "smime.p7m",
        "application/pkcs7-mime",
        "application/pkcs7-mime",
        secret,
        inside=outer,
        encrypted=True,
    )
    return mail(
        "Unzustellbar: Verschlüsselt",
        multipart(
            "report",
            text("Ihre Nachricht wurde nicht zugestellt.\n"),
            entity(["Content-Type: message/delivery-status"], status),
            attached(returned),
            parameters="; report-type=delivery-status",
        ),
    )


@FAMILY.sample
def encrypted_files(expected: Expected) -> bytes:
    """A PDF and an archive with passwords: documents, flagged."""
    payslip, archive = invoices.encrypted_pdf("Lohnzettel"), encrypted_zip({"Lohnzettel.pdf": b"\x8f" * 400})
    expected.add("document", "encrypted", "Lohnzettel.pdf", PDF, PDF, payslip, encrypted=True)
    expected.add("document", "encrypted", "Lohn 03-2025.zip", ZIP, ZIP, archive, encrypted=True)
    return mail(
        "Lohnunterlagen",
        multipart(
            "mixed",
            text(GREETING),
            file("Lohnzettel.pdf", PDF, payslip),
            file("Lohn 03-2025.zip", ZIP, archive),
        ),
    )
