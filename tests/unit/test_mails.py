"""The demo's mails say what they claim to say: parsed by the standard library, the way any receiver would."""

import xml.etree.ElementTree as ET
from binascii import a2b_uu
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache

import pytest

from local.demo.mails import DemoMail, Quarantined, Stored, demo_mails
from local.demo.samples import invoice_pdf, scan_pdf, xrechnung_xml

TOKENS = {"Südhang": "0123456789abcdef" * 2, "Nordlicht": "fedcba9876543210" * 2}
CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"


@pytest.fixture(scope="module")
def mails() -> dict[str, DemoMail]:
    return {mail.title: mail for mail in demo_mails(TOKENS)}


@cache  # one of them is as big as scans are
def parsed(mail: DemoMail) -> EmailMessage:
    message = message_from_bytes(mail.mime, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_every_mail_has_a_message_id_of_its_own(mails: dict[str, DemoMail]) -> None:
    assert len({mail.message_id for mail in mails.values()}) == len(mails) >= 12
    for mail in mails.values():
        assert parsed(mail)["Message-ID"] == mail.message_id


def test_the_same_bytes_are_made_on_every_run(mails: dict[str, DemoMail]) -> None:
    assert {mail.title: mail for mail in demo_mails(TOKENS)} == mails


def test_what_is_attached_is_what_is_expected_to_be_stored(mails: dict[str, DemoMail]) -> None:
    for mail in mails.values():
        if isinstance(mail.expected, Stored) and mail.title not in {"Attached mail", "PDF in uuencode"}:
            attached = [
                (part.get_filename(), part.get_payload(decode=True)) for part in parsed(mail).iter_attachments()
            ]
            expected = [(file.name, file.content) for file in mail.expected.documents]
            assert [item for item in attached if item[0] != "logo.png"] == expected


def test_the_attached_mail_carries_the_document(mails: dict[str, DemoMail]) -> None:
    mail = mails["Attached mail"]
    assert isinstance(mail.expected, Stored)
    (document,) = mail.expected.documents
    (attached,) = parsed(mail).iter_attachments()
    assert attached.get_content_type() == "message/rfc822"
    assert [part.get_payload(decode=True) for part in attached.walk() if part.get_filename()] == [document.content]


def test_the_text_carries_the_document(mails: dict[str, DemoMail]) -> None:
    mail = mails["PDF in uuencode"]
    assert isinstance(mail.expected, Stored)
    (document,) = mail.expected.documents
    encoded = parsed(mail).get_content().partition("begin ")[2].partition("\r\n`\r\nend")[0]
    begin, *lines = encoded.split("\r\n")
    assert begin == f"644 {document.name}"
    assert b"".join(map(a2b_uu, lines)) == document.content


def test_the_redirect_leaves_to_as_it_was(mails: dict[str, DemoMail]) -> None:
    message = parsed(mails["Redirected by Gmail"])
    assert not any(token in message["To"] for token in TOKENS.values())
    assert TOKENS["Südhang"] in message["X-Forwarded-To"]


def test_tokens_stand_where_the_titles_say(mails: dict[str, DemoMail]) -> None:
    first, second = TOKENS.values()
    assert first.upper() in parsed(mails["Token in upper case"])["To"]
    assert second not in parsed(mails["Token only in Cc"])["To"]
    assert second in parsed(mails["Token only in Cc"])["Cc"]
    assert first in parsed(mails["Tokens of two tenants"])["To"]
    assert second in parsed(mails["Tokens of two tenants"])["To"]
    assert mails["No token"].expected == Quarantined(reason="no_token")
    assert mails["Unknown token"].expected == Quarantined(reason="unknown_token")


def test_the_logo_is_shown_by_the_body(mails: dict[str, DemoMail]) -> None:
    message = parsed(mails["Inline logo and PDF"])
    html = message.get_body(("html",))
    assert html is not None
    logo = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert f"cid:{logo['Content-ID'].strip('<>')}" in html.get_content()


def test_the_scan_is_as_big_as_scans_are() -> None:
    assert 24_000_000 < len(scan_pdf()) < 26_000_000


def test_the_invoice_is_a_pdf() -> None:
    assert invoice_pdf().startswith(b"%PDF-")


def test_the_xrechnung_adds_up() -> None:
    invoice = ET.fromstring(xrechnung_xml())  # noqa: S314 - made by ourselves

    def amounts(name: str) -> list[Decimal]:
        return [Decimal(element.text or "") for element in invoice.iter(f"{CBC}{name}")]

    total, *lines = amounts("LineExtensionAmount")
    assert sum(lines) == total == amounts("TaxExclusiveAmount")[0]
    assert total + amounts("TaxAmount")[0] == amounts("PayableAmount")[0]
    assert "xrechnung_3.0" in (invoice.findtext(f"{CBC}CustomizationID") or "")
