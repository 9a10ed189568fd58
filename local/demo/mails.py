"""The mails of `make demo`: what a German bookkeeper's suppliers send, and where each of them has to end.

Made here, the same bytes on every run, so that what was stored can be compared by hash with what was sent.
"""

import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

from local.demo.samples import (
    INVOICE_NUMBER,
    ISSUED_AT,
    invoice_pdf,
    letter_pdf,
    logo_png,
    scan_pdf,
    xrechnung_xml,
)
from local.tenants import DOMAIN, upload_address

_GREETING = "Guten Tag,\n\nanbei unsere Unterlagen.\n\nMit freundlichen Grüßen\nNordlicht GmbH\n"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file as the sender attached it."""

    name: str
    content_type: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The mail has to be deleted, and these documents stored for this tenant.

    No documents here means that the mail has none: then its original is the document.
    """

    tenant: str
    documents: tuple[File, ...]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The mail has to be deleted and its original kept for this tenant; the mail brings no document."""

    tenant: str


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """The mail has to be in the quarantine folder, with this reason code."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class DemoMail:
    """One mail as it goes over SMTP, and what has to become of it."""

    title: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    mime: bytes
    expected: Stored | Kept | Quarantined
    notification: Literal["delivered", "lost"] = "delivered"


def demo_mails(tokens: Mapping[str, str]) -> tuple[DemoMail, ...]:
    """Make all mails of the demo.

    `tokens`: the ingest tokens of two tenants, by tenant name.
    """
    first, second = tokens
    to_first, to_second = upload_address(tokens[first]), upload_address(tokens[second])
    invoice = _pdf(f"Rechnung {INVOICE_NUMBER}.pdf", invoice_pdf())
    xrechnung = File(name=f"{INVOICE_NUMBER}.xml", content_type="application/xml", content=xrechnung_xml())
    offer = _pdf("Angebot 4711.pdf", letter_pdf("Angebot 4711"))
    terms = _pdf("AGB.pdf", letter_pdf("Allgemeine Geschäftsbedingungen"))
    receipt = _pdf("Quittung.pdf", letter_pdf("Quittung"))
    statement = _pdf("Kontoauszug.pdf", letter_pdf("Kontoauszug 03/2025"))
    reminder = _pdf("Mahnung.pdf", letter_pdf("Zahlungserinnerung"))
    umlauts = _pdf("Überweisungsträger für März 🧾 Größe XXL.pdf", letter_pdf("Überweisungsträger"))
    scan = _pdf("Scan_20250314.pdf", scan_pdf())
    old_program = _pdf("Lieferschein.pdf", letter_pdf("Lieferschein"))
    forwarded = _forwarded_original(offer)
    lost_token = "0" * 32

    return (
        _mail(
            "PDF invoice",
            to=(to_first,),
            files=(invoice,),
            expected=Stored(tenant=first, documents=(invoice,)),
        ),
        _mail(
            "XRechnung (XML)",
            to=(to_first,),
            files=(xrechnung,),
            expected=Stored(tenant=first, documents=(xrechnung,)),
        ),
        _mail(
            "Two attachments",
            to=(to_second,),
            files=(offer, terms),
            expected=Stored(tenant=second, documents=(offer, terms)),
        ),
        _mail(
            "Token in upper case",
            to=(upload_address(tokens[first].upper()),),
            files=(receipt,),
            expected=Stored(tenant=first, documents=(receipt,)),
        ),
        _mail(
            "Token only in Cc",
            to=("kunde@example.com",),
            cc=(to_second,),
            files=(receipt,),
            expected=Stored(tenant=second, documents=(receipt,)),
        ),
        _mail(
            "Tokens of two tenants",
            to=(to_second, to_first),
            files=(statement,),
            expected=Stored(tenant=second, documents=(statement,)),
        ),
        _mail(
            "Unknown token",
            to=(upload_address(lost_token),),
            files=(reminder,),
            expected=Quarantined(reason="unknown_token"),
        ),
        _mail("No token", to=(f"info@{DOMAIN}",), files=(reminder,), expected=Quarantined(reason="no_token")),
        _mail(
            "Attached mail",
            to=(to_first,),
            attached_message=forwarded,
            expected=Stored(tenant=first, documents=(offer,)),
        ),
        _mail(
            "Inline logo and PDF",
            to=(to_second,),
            files=(reminder,),
            inline_logo=True,
            expected=Stored(tenant=second, documents=(reminder,)),
        ),
        _mail(
            "Umlauts and emoji: Grüße 🧾",
            to=(to_first,),
            sender=Address("Jörg Müßig-Größe 🚚", "joerg", "xn--mller-kva.example"),
            files=(umlauts,),
            expected=Stored(tenant=first, documents=(umlauts,)),
        ),
        _mail("25 MB scan", to=(to_second,), files=(scan,), expected=Stored(tenant=second, documents=(scan,))),
        _mail(
            "Redirected by Gmail",
            to=("rechnungen@suedhang.example",),
            envelope=(to_first,),
            headers={"X-Forwarded-To": to_first, "X-Forwarded-For": f"rechnungen@suedhang.example {to_first}"},
            files=(receipt,),
            expected=Stored(tenant=first, documents=(receipt,)),
        ),
        _mail(
            "Automatic reply",
            to=(to_second,),
            headers={"Auto-Submitted": "auto-replied"},
            text="Ich bin bis zum 28.03.2025 nicht im Büro.\n",
            expected=Kept(tenant=second),
        ),
        _mail(
            "PDF in uuencode",
            to=(to_first,),
            text=f"Guten Tag,\n\n{_uuencoded(old_program)}\nMit freundlichen Grüßen\n",
            expected=Stored(tenant=first, documents=(old_program,)),
        ),
        _mail(
            "Lost notification, no file",
            to=(to_first,),
            notification="lost",
            expected=Stored(tenant=first, documents=()),
        ),
    )


def _uuencoded(file: File) -> str:
    """Write a file into a text, as mail programs did before MIME."""
    lines = [
        binascii.b2a_uu(file.content[start : start + 45], backtick=True) for start in range(0, len(file.content), 45)
    ]
    return f"begin 644 {file.name}\n{b''.join(lines).decode()}`\nend\n"


def _pdf(name: str, content: bytes) -> File:
    return File(name=name, content_type="application/pdf", content=content)


def _mail(
    title: str,
    *,
    to: tuple[str, ...],
    expected: Stored | Kept | Quarantined,
    cc: tuple[str, ...] = (),
    envelope: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
    sender: Address | None = None,
    text: str = _GREETING,
    files: tuple[File, ...] = (),
    attached_message: EmailMessage | None = None,
    inline_logo: bool = False,
    notification: Literal["delivered", "lost"] = "delivered",
) -> DemoMail:
    sender = sender or Address("Rechnungsstelle Nordlicht GmbH", "rechnung", "nordlicht.example")
    message_id = f"<{hashlib.sha256(title.encode()).hexdigest()[:24]}@nordlicht.example>"
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(ISSUED_AT)
    message["Message-ID"] = message_id
    message["Subject"] = title
    message["From"] = sender
    message["To"] = ", ".join(to)
    if cc:
        message["Cc"] = ", ".join(cc)
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    if inline_logo:
        message.add_alternative(
            '<p>Anbei unsere Unterlagen.</p><p><img src="cid:logo@nordlicht.example" alt="Nordlicht"></p>',
            subtype="html",
        )
        html = message.get_body(("html",))
        assert html is not None  # noqa: S101 - it was added on the line above
        html.add_related(
            logo_png(),
            "image",
            "png",
            cid="<logo@nordlicht.example>",
            filename="logo.png",
            disposition="inline",
        )
    for file in files:
        maintype, subtype = file.content_type.split("/")
        message.add_attachment(file.content, maintype, subtype, filename=file.name)
    if attached_message is not None:
        message.add_attachment(attached_message)
    _fix_boundaries(message, title)
    return DemoMail(
        title=title,
        message_id=message_id,
        sender=sender.addr_spec,
        recipients=envelope or to + cc,
        mime=message.as_bytes(),
        expected=expected,
        notification=notification,
    )


def _fix_boundaries(message: EmailMessage, seed: str) -> None:
    """Replace the boundaries, which the standard library draws at random."""
    for number, part in enumerate(message.walk()):
        if part.get_content_maintype() == "multipart" and part.get_boundary() is None:
            part.set_boundary(f"=_{hashlib.sha256(f'{seed}{number}'.encode()).hexdigest()[:32]}")


def _forwarded_original(file: File) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(ISSUED_AT)
    message["Message-ID"] = "<urspruengliche-nachricht@baustoffe.example>"
    message["Subject"] = "Angebot 4711"
    message["From"] = "Baustoffe Brandt <verkauf@baustoffe.example>"
    message["To"] = "Nordlicht GmbH <rechnung@nordlicht.example>"
    message.set_content("Sehr geehrte Damen und Herren,\n\nanbei unser Angebot.\n")
    message.add_attachment(file.content, "application", "pdf", filename=file.name)
    _fix_boundaries(message, "forwarded")
    return message
