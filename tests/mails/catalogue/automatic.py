"""Mails that programs write: answers, which are no documents, and invoices, which are."""

from __future__ import annotations

from tests.mails.catalogue.sample import GREETING, MAIL, PDF, TXT, Expected, Family
from tests.mails.invoices import pdf
from tests.mails.mime import entity, file, mail, multipart, text

FAMILY = Family()
_STATUS = b"Reporting-MTA: dns; mx.lieferant.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\n"
_RETURNED = b"From: upload@dms.cloud\r\nTo: a@b.example\r\nSubject: Rechnung 17\r\n\r\nText\r\n"


@FAMILY.sample
def bounce(expected: Expected) -> bytes:
    """A bounce (RFC 3464) with the mail that came back: neither is a document."""
    status = entity(["Content-Type: message/delivery-status"], _STATUS)
    returned = entity(["Content-Type: message/rfc822"], _RETURNED)
    parts = multipart(
        "report", text("Nicht zugestellt.\n"), status, returned, parameters="; report-type=delivery-status"
    )
    mime = b"Return-Path: <>\r\nAuto-Submitted: auto-replied\r\n" + mail("Unzustellbar", parts)
    expected.add("rejected", "body_part", "Unzustellbar.txt", "message/delivery-status", TXT, _STATUS)
    expected.add("rejected", "body_part", "Rechnung 17.eml", MAIL, MAIL, _RETURNED)
    expected.automatic("Unzustellbar", mime)
    return mime


@FAMILY.sample
def read_receipt(expected: Expected) -> bytes:
    """A receipt (RFC 8098), known by its type alone."""
    receipt = b"Final-Recipient: rfc822;a@b.example\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n"
    piece = entity(["Content-Type: message/disposition-notification"], receipt)
    mime = mail("Gelesen: Rechnung", multipart("report", text("Gelesen.\n"), piece))
    expected.add("rejected", "body_part", "Gelesen: Rechnung.txt", "message/disposition-notification", TXT, receipt)
    expected.automatic("Gelesen: Rechnung", mime)
    return mime


@FAMILY.sample
def out_of_office(expected: Expected) -> bytes:
    """An absence notice (RFC 3834)."""
    head = b"Auto-Submitted: auto-replied (vacation)\r\nX-Auto-Response-Suppress: All\r\n"
    mime = head + mail("Automatische Antwort", text("Ich bin bis 3.12. nicht im B\u00fcro.\n"))
    expected.automatic("Automatische Antwort", mime)
    return mime


@FAMILY.sample
def bounce_by_its_return_path_alone(expected: Expected) -> bytes:
    """A bounce of an old server: plain text, and no proof but the empty return path (RFC 5321, 4.5.5)."""
    mime = b"Return-Path: <>\r\n" + mail("Undelivered Mail", text("Nicht zugestellt.\n"))
    expected.automatic("Undelivered Mail", mime)
    return mime


@FAMILY.sample
def report_with_an_invoice(expected: Expected) -> bytes:
    """A program that writes reports (RFC 6522) attaches an invoice: the invoice is a document."""
    invoice = pdf("Rechnung 4711")
    status = entity(["Content-Type: message/delivery-status"], _STATUS)
    parts = multipart("report", text(GREETING), status, file("RE-4711.pdf", PDF, invoice))
    expected.add("rejected", "body_part", "Versandbericht.txt", "message/delivery-status", TXT, _STATUS)
    expected.pdf("RE-4711.pdf", invoice)
    return mail("Versandbericht", parts)


@FAMILY.sample
def invoice_from_a_program(expected: Expected) -> bytes:
    """A program for invoices says that the mail is automatic; the invoice is a document all the same."""
    invoice = pdf("Rechnung 4711")
    expected.pdf("RE-4711.pdf", invoice)
    head = b"Return-Path: <>\r\nAuto-Submitted: auto-generated\r\n"
    return head + mail("Rechnung 4711", multipart("mixed", text(GREETING), file("RE-4711.pdf", PDF, invoice)))


@FAMILY.sample
def notice_from_a_person(expected: Expected) -> bytes:
    """`no` says that a person wrote the mail; the header that suppresses answers is no proof of a program."""
    head = b"Return-Path: <a@b.example>\r\nAuto-Submitted: no\r\nX-Auto-Response-Suppress: All\r\n"
    mime = head + mail("Mahnung", text(GREETING))
    expected.original("Mahnung", mime)
    return mime
