"""The samples: real mails for every rule of what becomes a document, each with what has to become of its parts."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.header import Header

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.mails import invoices
from tests.mails.compound import OutlookFile, OutlookMessage, msg, tnef
from tests.mails.invoices import pdf
from tests.mails.mime import attached, entity, file, mail, multipart, named, text
from tests.mails.table import Row

PDF, XML, TXT, PNG, ZIP, MAIL = (
    "application/pdf",
    "application/xml",
    "text/plain",
    "image/png",
    "application/zip",
    "message/rfc822",
)
OCTETS = "application/octet-stream"
GREETING = "Guten Tag,\n\nanbei unsere Unterlagen.\n\nMit freundlichen Grüßen\nNordlicht GmbH\n"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A mail and the expected rows of its parts. `link`: a cloud attachment to be added, which no MIME can bring."""

    name: str
    mime: bytes
    rows: Sequence[Row]
    link: str | None = None


class Expected:
    """Collects the expected rows of one mail, in order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(  # noqa: PLR0917 - the columns of the table, in its order
        self,
        disposition: str,
        rule: str,
        name: str,
        declared: str | None,
        detected: str | None,
        content: bytes | None,
        *,
        inside: int | None = None,
        mismatch: bool = False,
        encrypted: bool = False,
        related: int | None = None,
        invoice: str | None = None,
    ) -> int:
        """One more part; its number."""
        position = len(self.rows) + 1
        self.rows.append(
            Row(
                position=position,
                inside=inside,
                disposition=disposition,
                rule=rule,
                name=name,
                declared=declared,
                detected=detected,
                mismatch=mismatch,
                encrypted=encrypted,
                related=related,
                size=None if content is None else len(content),
                sha256=None if content is None else hashlib.sha256(content).hexdigest(),
                invoice=invoice,
            )
        )
        return position

    def pdf(self, name: str, content: bytes, *, inside: int | None = None, declared: str | None = PDF) -> int:
        """A PDF that is a document."""
        return self.add("document", "file", name, declared, PDF, content, inside=inside)

    def original(self, subject: str, mime: bytes) -> None:
        """The mail itself, which has no document."""
        digest = hashlib.sha256(mime).hexdigest()
        self.rows.append(
            Row(
                position=0,
                disposition="document",
                rule="mail_without_documents",
                name=f"{subject}.eml",
                declared=MAIL,
                detected=MAIL,
                size=len(mime),
                sha256=digest,
            )
        )


_samples: list[Callable[[], Sample]] = []


def _sample(make: Callable[[Expected], bytes | tuple[bytes, str]]) -> Callable[[Expected], bytes | tuple[bytes, str]]:
    def build() -> Sample:
        expected = Expected()
        made = make(expected)
        mime, link = made if isinstance(made, tuple) else (made, None)
        return Sample(name=make.__name__.replace("_", "-"), mime=mime, rows=expected.rows, link=link)

    _samples.append(build)
    return make


def samples() -> Iterator[Sample]:
    """Make them all."""
    for build in _samples:
        yield build()


# What mail programs write


@_sample
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


@_sample
def apple_mail_inline_pdf(expected: Expected) -> bytes:
    """Apple Mail: real PDFs and photos inline between pieces of text; resource forks beside them."""
    invoice, fork = pdf("Rechnung 1"), bytes.fromhex("00051607") + bytes(60)
    expected.pdf("Rechnung 1.pdf", invoice)
    expected.add("rejected", "body_part", "ATT00002.txt", TXT, TXT, b"\r\nund hier der Lieferschein:\r\n")
    expected.add("document", "file", "Lieferschein.jpeg", "image/jpeg", "image/jpeg", jpeg("Lieferschein"))
    expected.add(
        "rejected", "system_file", "Plan.pdf", "application/applefile", "application/applefile", fork, mismatch=True
    )
    expected.add("rejected", "body_part", "ATT00005.txt", TXT, TXT, b"\r\n\r\nVon meinem iPhone gesendet\r\n")
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


@_sample
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


@_sample
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


@_sample
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


@_sample
def only_text(expected: Expected) -> bytes:
    """A mail without any attachment is a document itself."""
    mime = mail("Auftrag 12 bestätigt", text("Hiermit bestätigen wir Ihren Auftrag.\n"))
    expected.original("Auftrag 12 bestätigt", mime)
    return mime


@_sample
def cloud_attachment(expected: Expected) -> tuple[bytes, str]:
    """A link to a file in OneDrive beside a PDF."""
    plan = pdf("Plan")
    expected.pdf("Plan.pdf", plan)
    expected.add("link", "cloud_attachment", "Pläne 2025.pdf", None, None, None)
    content = multipart("mixed", text(GREETING), file("Plan.pdf", PDF, plan))
    return mail("Pläne", content, extra=["X-MS-Has-Attach: yes"]), "Pläne 2025.pdf"


@_sample
def cloud_attachment_alone(expected: Expected) -> tuple[bytes, str]:
    """A link and nothing else: only the header, and Graph's listing, say that there is an attachment."""
    mime = mail("Vertrag", text(GREETING), extra=["X-MS-Has-Attach: yes"])
    expected.add("link", "cloud_attachment", "Vertrag 2025.pdf", None, None, None)
    expected.original("Vertrag", mime)
    return mime, "Vertrag 2025.pdf"


# Signed and encrypted


@_sample
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


@_sample
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


@_sample
def smime_signed_by_exchange(expected: Expected) -> bytes:
    """How Exchange hands out a mail with a detached signature: all of it as one attachment smime.p7m."""
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


@_sample
def smime_encrypted(expected: Expected) -> bytes:
    """S/MIME for somebody else's key: nobody here can look inside, so it is kept as it is."""
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


@_sample
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


@_sample
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


# Containers


@_sample
def forwarded_as_attachment(expected: Expected) -> bytes:
    """A mail in a mail in a mail; the inner ones have logos and documents of their own."""
    deep, offer = pdf("Lieferschein 9"), pdf("Angebot 9")
    html = text('<p>Anbei.</p><img src="cid:logo%40brandt">', "html")
    innermost = mail("Lieferschein", multipart("mixed", text(GREETING), file("Lieferschein 9.pdf", PDF, deep)))
    inner = mail(
        "Angebot für Grüße & Co",
        multipart(
            "mixed",
            multipart("related", html, file("logo.png", PNG, png("logo"), disposition="inline", cid="logo@brandt")),
            file("Angebot 9.pdf", PDF, offer),
            attached(innermost),
        ),
    )
    first = expected.add("container", "attached_mail", "Angebot für Grüße & Co.eml", None, MAIL, inner)
    expected.add("inline_image", "shown_in_body", "logo.png", PNG, PNG, png("logo"), inside=first)
    expected.pdf("Angebot 9.pdf", offer, inside=first)
    second = expected.add("container", "attached_mail", "Lieferschein.eml", MAIL, MAIL, innermost, inside=first)
    expected.pdf("Lieferschein 9.pdf", deep, inside=second)
    return mail("WG: Angebot", multipart("mixed", text("Zur Kenntnis.\n"), attached(inner)))


@_sample
def forwarded_without_documents(expected: Expected) -> bytes:
    """An attached mail that has nothing but text is the document."""
    inner = mail("Auftrag 12", text("Bitte liefern Sie 12 Fenster.\n"))
    expected.add("document", "mail_without_documents", "Auftrag 12.eml", None, MAIL, inner)
    return mail("WG: Auftrag 12", multipart("mixed", text("Zur Kenntnis.\n"), attached(inner)))


@_sample
def mail_as_file(expected: Expected) -> bytes:
    """A saved mail, declared as anything: its content tells."""
    offer = pdf("Angebot 10")
    saved = mail("Angebot 10", multipart("mixed", text(GREETING), file("Angebot 10.pdf", PDF, offer)))
    outer = expected.add("container", "attached_mail", "Angebot 10.eml", OCTETS, MAIL, saved)
    expected.pdf("Angebot 10.pdf", offer, inside=outer)
    return mail("Gespeicherte Mail", multipart("mixed", text(GREETING), file("Angebot 10.eml", OCTETS, saved)))


@_sample
def outlook_message_file(expected: Expected) -> bytes:
    """A .msg with a PDF large and one small, a logo that its HTML shows, and a message inside of it."""
    small, large, inner = pdf("Aufmaß"), pdf("Fotodokumentation" + "." * 9000), pdf("Nachtrag")
    saved = msg(
        OutlookMessage(
            subject="Aufmaß Südhang",
            body=GREETING,
            html=b'<p>Anbei.</p><img src="cid:logo@msg">',
            files=[
                OutlookFile(name="Aufmaß.pdf", content_type=PDF, content=small),
                OutlookFile(name="Fotos.pdf", content_type=PDF, content=large),
                OutlookFile(name="logo.png", content_type=PNG, content=png("msg"), content_id="logo@msg"),
                OutlookFile(
                    name="Nachtrag",
                    message=OutlookMessage(
                        subject="Nachtrag",
                        body=GREETING,
                        files=[OutlookFile(name="Nachtrag 1.pdf", content_type=PDF, content=inner)],
                    ),
                ),
            ],
        )
    )
    outlook = "application/vnd.ms-outlook"
    outer = expected.add("container", "attached_mail", "Aufmass.msg", outlook, outlook, saved)
    expected.pdf("Aufmaß.pdf", small, inside=outer)
    expected.pdf("Fotos.pdf", large, inside=outer)
    expected.add("inline_image", "shown_in_body", "logo.png", PNG, PNG, png("msg"), inside=outer)
    embedded = expected.add("container", "attached_mail", "Nachtrag.msg", outlook, None, None, inside=outer)
    expected.pdf("Nachtrag 1.pdf", inner, inside=embedded)
    return mail("Aufmaß", multipart("mixed", text(GREETING), file("Aufmass.msg", outlook, saved)))


@_sample
def winmail_dat(expected: Expected) -> bytes:
    """Outlook's own format, as it arrives where rich text leaves Exchange."""
    report, inner = pdf("Prüfbericht"), pdf("Anlage")
    packed = tnef(
        OutlookMessage(
            subject="Prüfbericht",
            body=GREETING,
            html=b'<img src="cid:logo@tnef">',
            files=[
                OutlookFile(name="Prüfbericht für März.pdf", content_type=PDF, content=report),
                OutlookFile(name="logo.png", content=png("tnef"), content_id="logo@tnef"),
                OutlookFile(
                    name="Weitergeleitet",
                    message=OutlookMessage(
                        subject="Anlage", body=GREETING, files=[OutlookFile(name="Anlage.pdf", content=inner)]
                    ),
                ),
            ],
        )
    )
    outer = expected.add(
        "container", "winmail_dat", "winmail.dat", "application/ms-tnef", "application/ms-tnef", packed
    )
    expected.pdf("Prüfbericht für März.pdf", report, inside=outer)
    expected.add("inline_image", "shown_in_body", "logo.png", None, PNG, png("tnef"), inside=outer)
    embedded = expected.add("container", "winmail_dat", "Weitergeleitet", None, None, None, inside=outer)
    expected.pdf("Anlage.pdf", inner, inside=embedded, declared=None)
    return mail("Prüfbericht", multipart("mixed", text(GREETING), file("winmail.dat", "application/ms-tnef", packed)))


@_sample
def zip_archive(expected: Expected) -> bytes:
    """Folders, an archive inside, an executable, an empty file, macOS's leavings, and names of all kinds."""
    one, two, three = pdf("Beleg 1"), pdf("Beleg 2"), pdf("Beleg 3")
    inner = zipped({"Beleg 3.pdf": three})
    fork = bytes.fromhex("00051607") + bytes(60)
    archive = zipped(
        {
            "Belege/": b"",
            "Belege/Beleg 1.pdf": one,
            "Belege/März.pdf": two,
            "../../etc/passwd": b"root:x:0:0\n",
            "Belege/Setup.exe": executable(),
            "leer.txt": b"",
            "innen.zip": inner,
            "__MACOSX/._Beleg 1.pdf": fork,
        }
    )
    outer = expected.add("container", "zip_archive", "Belege.zip", "application/x-zip-compressed", ZIP, archive)
    expected.pdf("Belege/Beleg 1.pdf", one, inside=outer, declared=None)
    expected.pdf("Belege/März.pdf", two, inside=outer, declared=None)
    expected.add("document", "file", "../../etc/passwd", None, TXT, b"root:x:0:0\n", inside=outer)
    expected.add(
        "rejected", "dangerous_type", "Belege/Setup.exe", None, PORTABLE_EXECUTABLE, executable(), inside=outer
    )
    expected.add("rejected", "empty", "leer.txt", None, OCTETS, b"", inside=outer)
    inside = expected.add("container", "zip_archive", "innen.zip", None, ZIP, inner, inside=outer)
    expected.pdf("Beleg 3.pdf", three, inside=inside, declared=None)
    expected.add(
        "rejected",
        "system_file",
        "__MACOSX/._Beleg 1.pdf",
        None,
        "application/applefile",
        fork,
        inside=outer,
        mismatch=True,
    )
    return mail(
        "Belege", multipart("mixed", text(GREETING), file("Belege.zip", "application/x-zip-compressed", archive))
    )


@_sample
def zip_damaged(expected: Expected) -> bytes:
    """An archive cut off in the middle can't be opened; one with a damaged member gives the others."""
    cut = zipped({"Beleg.pdf": pdf("Beleg")})[:-40]
    sound, broken = pdf("heil"), pdf("kaputt")
    damaged = zipped({"heil.pdf": sound, "kaputt.pdf": broken}).replace(b"(kaputt)", b"(KAPUTT)")
    expected.add("document", "unreadable_container", "abgeschnitten.zip", ZIP, ZIP, cut)
    outer = expected.add("container", "zip_archive", "beschädigt.zip", ZIP, ZIP, damaged)
    expected.pdf("heil.pdf", sound, inside=outer, declared=None)
    expected.rows.append(
        Row(
            position=len(expected.rows) + 1,
            inside=outer,
            disposition="rejected",
            rule="unreadable",
            name="kaputt.pdf",
            size=len(broken),
        )
    )
    return mail(
        "Beschädigte Archive",
        multipart(
            "mixed",
            text(GREETING),
            file("abgeschnitten.zip", ZIP, cut),
            named("Content-Disposition: attachment; filename*=UTF-8''besch%C3%A4digt.zip", ZIP, damaged),
        ),
    )


@_sample
def bombs(expected: Expected) -> bytes:
    """Too large, too many, too deep: each refused, and the invoice beside them stored."""
    invoice = pdf("Rechnung zwischen Bomben")
    zeros = 64 * 1024 * 1024
    large = zipped_zeros("nullen.bin", zeros)
    many = zipped({f"{number:04}.txt": b"x" for number in range(1500)})
    deep = pdf("ganz unten")
    layers: list[tuple[str, bytes]] = []
    for number in range(10):
        deep = zipped({f"{number}.zip" if number else "unten.pdf": deep})
        layers.insert(0, (f"{number + 1}.zip", deep))
    outer = expected.add("container", "zip_archive", "gross.zip", ZIP, ZIP, large)
    expected.rows.append(
        Row(position=2, inside=outer, disposition="rejected", rule="too_large", name="nullen.bin", size=zeros)
    )
    expected.add("rejected", "too_many", "viele.zip", ZIP, ZIP, many)
    inside: int | None = None
    for depth, (name, content) in enumerate(layers, start=1):
        if depth <= 8:
            inside = expected.add(
                "container",
                "zip_archive",
                "tief.zip" if inside is None else name,
                ZIP if inside is None else None,
                ZIP,
                content,
                inside=inside,
            )
    expected.add("rejected", "too_deep", layers[8][0], None, ZIP, layers[8][1], inside=inside)
    expected.pdf("Rechnung.pdf", invoice)
    return mail(
        "Bomben",
        multipart(
            "mixed",
            text(GREETING),
            file("gross.zip", ZIP, large),
            file("viele.zip", ZIP, many),
            file("tief.zip", ZIP, layers[0][1]),
            file("Rechnung.pdf", PDF, invoice),
        ),
    )


@_sample
def the_same_twice(expected: Expected) -> bytes:
    """The same content under two names, and once more in an archive: one document."""
    invoice = pdf("Rechnung 77")
    archive = zipped({"77.pdf": invoice, "AGB.pdf": pdf("AGB")})
    expected.pdf("Rechnung 77.pdf", invoice)
    expected.add("duplicate_in_mail", "same_content", "Rechnung 77 Kopie.pdf", PDF, PDF, invoice, related=1)
    outer = expected.add("container", "zip_archive", "alles.zip", ZIP, ZIP, archive)
    expected.add("duplicate_in_mail", "same_content", "77.pdf", None, PDF, invoice, inside=outer, related=1)
    expected.pdf("AGB.pdf", pdf("AGB"), inside=outer, declared=None)
    return mail(
        "Rechnung 77",
        multipart(
            "mixed",
            text(GREETING),
            file("Rechnung 77.pdf", PDF, invoice),
            file("Rechnung 77 Kopie.pdf", PDF, invoice),
            file("alles.zip", ZIP, archive),
        ),
    )


# E-invoices


@_sample
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


@_sample
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


@_sample
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


@_sample
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


# Types and names


@_sample
def dangerous_types(expected: Expected) -> bytes:
    """What a computer would run is refused, whatever it is called; the mail is stored all the same."""
    batch, shortcut = b"@echo off\r\ndel /q *.*\r\n", b"L\0\0\0\x01\x14\x02\0" + bytes(70)
    jar = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", "A.class": b"\xca\xfe\xba\xbe"})
    script = b"#!/bin/sh\nrm -rf ~\n"
    expected.add("rejected", "dangerous_type", "Rechnung.pdf", PDF, PORTABLE_EXECUTABLE, executable(), mismatch=True)
    expected.add("rejected", "dangerous_type", "Rechnung.pdf.bat", TXT, "text/x-script", batch, mismatch=True)
    expected.add("rejected", "dangerous_type", "Rechnung.lnk", OCTETS, "application/x-ms-shortcut", shortcut)
    expected.add("rejected", "dangerous_type", "tool.zip", ZIP, "application/java-archive", jar, mismatch=True)
    expected.add("rejected", "dangerous_type", "lies mich", TXT, "text/x-script", script, mismatch=True)
    offer = pdf("Angebot")
    expected.add("document", "file", "Angebot.exe", PDF, PDF, offer)
    return mail(
        "Programme",
        multipart(
            "mixed",
            text(GREETING),
            file("Rechnung.pdf", PDF, executable()),
            file("Rechnung.pdf.bat", TXT, batch),
            file("Rechnung.lnk", OCTETS, shortcut),
            file("tool.zip", ZIP, jar),
            file("lies mich", TXT, script),
            file("Angebot.exe", PDF, offer),
        ),
    )


@_sample
def declared_otherwise(expected: Expected) -> bytes:
    """The content tells the type; what was declared is kept, and whether it was wrong."""
    docx = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"})
    table = b"Konto;Betrag\r\n1200;47,11\r\n"
    letter = pdf("Brief")
    expected.add("document", "file", "Brief.jpg", "image/jpeg", PDF, letter, mismatch=True)
    expected.add("document", "file", "Vertrag.docx", OCTETS, DOCX, docx)
    expected.add("document", "file", "Umsatz.csv", "text/csv", TXT, table)
    expected.add("document", "file", "Scan.pdf", PDF, "image/tiff", tiff(), mismatch=True)
    expected.add("document", "file", "Notiz.pdf", PDF, TXT, b"Nur eine Notiz.\n", mismatch=True)
    return mail(
        "Falsch benannt",
        multipart(
            "mixed",
            text(GREETING),
            file("Brief.jpg", "image/jpeg", letter),
            file("Vertrag.docx", OCTETS, docx),
            file("Umsatz.csv", "text/csv", table),
            file("Scan.pdf", PDF, tiff()),
            file("Notiz.pdf", PDF, b"Nur eine Notiz.\n"),
        ),
    )


@_sample
def names(expected: Expected) -> bytes:
    """RFC 2231 and 2047, raw and broken encodings, no name, 255 characters, paths, and text that turns around."""
    long = "Ä" * 251 + ".pdf"
    word = Header("Überweisung für März.pdf", "utf-8", maxlinelen=200).encode()
    cases: list[tuple[str, str]] = [
        (
            "Content-Disposition: attachment; filename*0*=UTF-8''Rechnung%20; filename*1*=f%C3%BCr.pdf",
            "Rechnung für.pdf",
        ),
        (f'Content-Disposition: attachment; filename="{word}"', "Überweisung für März.pdf"),
        ('Content-Disposition: attachment; filename="Größe.pdf"', "Größe.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-9?Q?x=C3=BC.pdf?="', "=?utf-9?Q?x=C3=BC.pdf?="),
        ('Content-Disposition: attachment; filename=""', "ATT00005.pdf"),
        (f'Content-Disposition: attachment; filename="{long}"', long),
        ('Content-Disposition: attachment; filename="..%2f..\\\\windows\\\\x.pdf"', "..%2f..\\windows\\x.pdf"),
        ('Content-Disposition: attachment; filename="../../etc/passwd.pdf"', "../../etc/passwd.pdf"),
        ('Content-Disposition: attachment; filename="Rechnung\u202efdp.exe.pdf"', "Rechnung\u202efdp.exe.pdf"),
        ("Content-Disposition: attachment; filename*=UTF-8''a%00b%0Ac.pdf", "a\0b\nc.pdf"),
    ]
    parts = []
    for number, (disposition, name) in enumerate(cases):
        content = pdf(f"Name {number}")
        expected.pdf(name.replace("\0", "\ufffd"), content)
        parts.append(named(disposition, PDF, content))
    return mail("Namen", multipart("mixed", text(GREETING), *parts))


@_sample
def names_inside(expected: Expected) -> bytes:
    """The same within an attached mail, whose headers are read by this app and not by Exchange."""
    cases = [
        (
            "Content-Disposition: attachment; filename*0*=UTF-8''Rechnung%20; filename*1*=f%C3%BCr.pdf",
            "Rechnung für.pdf",
        ),
        ('Content-Disposition: attachment; filename="=?iso-8859-1?Q?Gr=F6=DFe.pdf?="', "Größe.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-9?Q?x=C3=BC.pdf?="', "xü.pdf"),
        ('Content-Disposition: attachment; filename="Größe 2.pdf"', "Größe 2.pdf"),
        ('Content-Disposition: attachment; filename=""', "Innen.pdf"),
        ("Content-Disposition: attachment", "ATT00006.pdf"),
    ]
    contents = [pdf(f"Name innen {number}") for number in range(len(cases))]
    parts = [named(case[0], PDF, content) for case, content in zip(cases, contents, strict=True)]
    inner = mail("Innen", multipart("mixed", text(GREETING), *parts))
    outer = expected.add("container", "attached_mail", "Innen.eml", None, MAIL, inner)
    for (_, name), content in zip(cases, contents, strict=True):
        expected.pdf(name, content, inside=outer)
    return mail("Namen innen", multipart("mixed", text(GREETING), attached(inner)))


@_sample
def empty_files(expected: Expected) -> bytes:
    """Files without a byte are no documents; without any other, the mail is."""
    mime = mail("Leer", multipart("mixed", text(GREETING), file("leer.pdf", PDF, b""), file("leer.zip", ZIP, b"")))
    expected.add("rejected", "empty", "leer.pdf", PDF, OCTETS, b"")
    expected.add("rejected", "empty", "leer.zip", ZIP, OCTETS, b"")
    expected.original("Leer", mime)
    return mime


@_sample
def two_hundred_and_fifty(expected: Expected) -> bytes:
    """As many attachments as a message may have."""
    parts = []
    for number in range(1, 251):
        content = f"Beleg {number}\n".encode()
        expected.add("document", "file", f"Beleg {number:03}.txt", TXT, TXT, content)
        parts.append(file(f"Beleg {number:03}.txt", TXT, content))
    return mail("250 Belege", multipart("mixed", text(GREETING), *parts))


@_sample
def not_mime(expected: Expected) -> bytes:
    """Broken MIME: no closing boundary, a boundary that is never used, base64 that breaks off."""
    offer = pdf("Angebot ohne Ende")
    broken = multipart("mixed", text(GREETING), file("Angebot.pdf", PDF, offer)).rsplit(b"\r\n--", 1)[0]
    expected.pdf("Angebot.pdf", offer)
    return mail("Ohne Ende", broken)


# Contents

PORTABLE_EXECUTABLE = "application/vnd.microsoft.portable-executable"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def said(kind: str, profile: str, number: str, total: str = "1190.00") -> str:
    """What an e-invoice of the samples says, in one line."""
    return f"{kind} {profile} {number} 2025-03-14 {invoices.SELLER} {total} EUR"


def png(text_in_it: str) -> bytes:
    """A small image; the text makes it differ from others."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\x0b\x3d\x5c")
    comment = b"Comment\0" + text_in_it.encode("latin-1")
    chunks = chunk(b"IHDR", header) + chunk(b"tEXt", comment) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg(text_in_it: str) -> bytes:
    """The beginning and the end of an image, with a comment."""
    comment = text_in_it.encode()
    return (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xfe"
        + struct.pack(">H", len(comment) + 2)
        + comment
        + b"\xff\xd9"
    )


def tiff() -> bytes:
    """A bilevel page of one pixel."""
    return b"II*\0\x08\0\0\0\x01\0\x00\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"


def executable() -> bytes:
    """What begins as programs for Windows do."""
    return b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8" + bytes(110) + b"PE\0\0"


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive of these files, stored as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2025, 3, 14, 9, 0, 0)), content)
    return out.getvalue()


def zipped_zeros(name: str, size: int) -> bytes:
    """An archive with one member of that many zeros, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name, date_time=(2025, 3, 14, 9, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as member:
            for _ in range(size // 2**20):
                member.write(bytes(2**20))
    return out.getvalue()


def encrypted_zip(files: dict[str, bytes]) -> bytes:
    """An archive that is marked as encrypted; what is in it is noise."""
    archive = bytearray(zipped(files))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = archive.find(signature)
        while at >= 0:
            archive[at + offset] |= 1
            at = archive.find(signature, at + 1)
    return bytes(archive)


def _key_and_certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Rechnungsstelle")])
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def sign(content: bytes, *, detached: bool) -> bytes:
    """An S/MIME signature over the content, which is inside of it unless `detached`. Other bytes each time."""
    key, certificate = _key_and_certificate()
    options = [pkcs7.PKCS7Options.Binary, *([pkcs7.PKCS7Options.DetachedSignature] if detached else [])]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, options)


def encrypt(content: bytes) -> bytes:
    """An S/MIME message that only somebody else can read. Other bytes each time."""
    _, certificate = _key_and_certificate()
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).add_recipient(certificate)
    return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
