"""Mails with faults that other programs put up with, reports, and mails for eyes with a licence only."""

from __future__ import annotations

import base64
import binascii

from tests.mails.catalogue.sample import GREETING, MAIL, OCTETS, PDF, TXT, Expected, Family
from tests.mails.invoices import pdf
from tests.mails.mime import attached, entity, file, mail, multipart, text

FAMILY = Family()
RPMSG = "application/x-microsoft-rpmsg-message"


@FAMILY.sample
def mails_written_badly(expected: Expected) -> bytes:
    """Mails as files, each with one fault that other programs put up with."""
    content = pdf("Rechnung 4711")
    encoded = base64.encodebytes(content)
    uuencoded = b"begin 644 RE.pdf\n" + b"".join(
        binascii.b2a_uu(content[start : start + 45]) for start in range(0, len(content), 45)
    )
    uuencoded += b"`\nend\n"
    part = b"Content-Type: application/pdf; name=RE.pdf\nContent-Transfer-Encoding: base64\n\n" + encoded
    folded = part.replace(b"name=RE.pdf", b'name="=?gb2312?B?sGzGseqQ5mc0NzExLnBkZg==?="')
    head, mixed = b"From: a@b.example\nSubject: Rechnung 4711\n", b"MIME-Version: 1.0\nContent-Type: multipart/mixed; "
    long = b"DKIM-Signature: v=1; h=" + b"from:\n " * 2000 + b"x\n"
    cases = {
        "uuencode": (
            head + b"Content-Type: application/pdf; name=RE.pdf\nContent-Transfer-Encoding: x-uuencode\n\n" + uuencoded,
            "RE.pdf",
        ),
        "uuencode im Text": (head + b"\nGuten Tag,\n\n" + uuencoded + b"\nGruss\n", "RE.pdf"),
        "yEnc": (
            head
            + b"Content-Type: application/pdf; name=RE.pdf\nContent-Transfer-Encoding: x-yencode\n\n"
            + _yenc("RE.pdf", content),
            "RE.pdf",
        ),
        "yEnc im Text": (head + b"\nGuten Tag,\n\n" + _yenc("RE.pdf", content) + b"\nGruss\n", "RE.pdf"),
        "gefaltet": (head + mixed + b'boundary="in\n side"\n\n--in side\n' + part + b"\n--in side--\n", "RE.pdf"),
        "Leerzeile": (b"   \n\n" + head + mixed + b"boundary=b\n\n--b\n" + part + b"\n--b--\n", "RE.pdf"),
        "kein Doppelpunkt": (
            head + b"by gateway.example with SMTP\n" + mixed + b"boundary=b\n\n--b\n" + part + b"\n--b--\n",
            "RE.pdf",
        ),
        "lang": (long + head + mixed + b"boundary=b\n\n--b\n" + part + b"\n--b--\n", "RE.pdf"),
        "ohne Name": (
            head + mixed + b"boundary=b\n\n--b\n" + part.replace(b"; name=RE.pdf", b"") + b"\n--b--\n",
            "Rechnung 4711.pdf",
        ),
        "Zeichensatz": (head + mixed + b"boundary=b\n\n--b\n" + folded + b"\n--b--\n", "發票陳鎔4711.pdf"),
    }
    parts, first = [], 0
    for name, (inner, inside) in cases.items():
        outer = expected.add("container", "attached_mail", f"{name}.eml", OCTETS, MAIL, inner)
        declared = None if name.endswith("im Text") else PDF
        if first:
            expected.add(
                "duplicate_in_mail", "same_content", inside, declared, PDF, content, inside=outer, related=first
            )
        else:
            first = expected.pdf(inside, content, inside=outer)
        parts.append(file(f"{name}.eml", OCTETS, inner))
    return mail("Schlecht geschrieben", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def forms_of_a_text(expected: Expected) -> bytes:
    """A mail's text in every form that programs write beside plain text and HTML: no form is a document."""
    content = pdf("Rechnung 4711")
    forms = [
        text(GREETING),
        text("<html>AMP</html>\n", "x-amp-html"),
        text("<bold>Guten Tag</bold>\n", "enriched"),
        text("<bold>Guten Tag</bold>\n", "richtext"),
        text("<html>Uhr</html>\n", "watch-html"),
        text("<p>Guten Tag</p>\n", "html"),
    ]
    expected.pdf("RE-4711.pdf", content)
    return mail("Formen", multipart("mixed", multipart("alternative", *forms), file("RE-4711.pdf", PDF, content)))


@FAMILY.sample
def reports_and_protected_mails(expected: Expected) -> bytes:
    """A bounce and a rights-protected mail, forwarded as files: their pieces are no documents."""
    status = entity(
        ["Content-Type: message/delivery-status"], b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\n"
    )
    headers = entity(["Content-Type: text/rfc822-headers"], b"From: a@b.example\r\nSubject: Rechnung 17\r\n")
    bounce = mail("Unzustellbar", multipart("report", text("Nicht zugestellt.\n"), status, headers))
    outer = expected.add("document", "mail_without_documents", "Unzustellbar.eml", MAIL, MAIL, bounce)
    for name, declared, part in (
        ("Unzustellbar.txt", "message/delivery-status", status),
        ("ATT00002.txt", "text/rfc822-headers", headers),
    ):
        body = part.partition(b"\r\n\r\n")[2]
        expected.add("rejected", "body_part", name, declared, TXT, body, inside=outer)
    sealed, page = bytes.fromhex("76e80460c411e386") + bytes(200), b"<html>Read the message</html>"
    protected = mail(
        "Vertraulich",
        multipart(
            "mixed",
            text("Click to read the message.\n"),
            file("message_v4.rpmsg", RPMSG, sealed),
            file("message_v4.html", "text/html", page),
        ),
    )
    outer = expected.add("container", "attached_mail", "Vertraulich.eml", MAIL, MAIL, protected)
    expected.add("document", "encrypted", "message_v4.rpmsg", RPMSG, RPMSG, sealed, inside=outer, encrypted=True)
    expected.add("rejected", "body_part", "message_v4.html", "text/html", "text/html", page, inside=outer)
    return mail("WG: Unzustellbar", multipart("mixed", text(GREETING), attached(bounce), attached(protected)))


def _yenc(name: str, content: bytes) -> bytes:
    """A file in yEnc (http://www.yenc.org/yenc-draft.1.3.txt)."""
    text = bytearray(f"=ybegin line=128 size={len(content)} name={name}\n".encode())
    for start in range(0, len(content), 128):
        for octet in content[start : start + 128]:
            coded = (octet + 42) % 256
            text += b"=%c" % ((coded + 64) % 256) if coded in b"\0\n\r=" else bytes([coded])
        text += b"\n"
    return bytes(text) + f"=yend size={len(content)}\n".encode()
