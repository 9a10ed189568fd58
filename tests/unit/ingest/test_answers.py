"""Answers to senders: who gets one, of which kind, and who never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.answers import MESSAGE_ID_MARK, OwnAddresses, answer_to_rejected, answer_to_stored, fit, target_of
from ingest.codes import AnswerKind, Disposition, Reason, Rule
from ingest.documents.headers.fields import parse_headers
from ingest.model.answer import AnswerTarget
from ingest.model.message import Authentication
from ingest.model.part import Part

PROVED = Authentication(dmarc="pass", sender_authenticated=True)
OWN = OwnAddresses(
    addresses=frozenset({"upload@dms.example", "answers@dms.example"}),
    domains=frozenset({"dms.example"}),
    is_upload=lambda address: address.startswith("upload."),
)
MAIL = (
    "From: Anna <anna@supplier.example>\r\nTo: upload.0123456789abcdef@dms.example\r\n"
    "Message-ID: <1@supplier.example>\r\nSubject: Invoice\r\n"
)


def target(
    more: str = "", *, mail: str = MAIL, proof: Authentication = PROVED, subject: str = "Invoice"
) -> AnswerTarget | None:
    headers = parse_headers(f"{mail}{more}\r\n".encode())
    return target_of(headers, proof, subject, headers.addresses("to"), OWN)


def part(rule: Rule, *, name: str = "invoice.pdf", encrypted: bool = False) -> Part:
    rejected = rule in {Rule.DANGEROUS_TYPE, Rule.TOO_LARGE, Rule.EMPTY}
    return Part(
        position=1,
        name=name,
        declared_type=None,
        encrypted=encrypted,
        disposition=Disposition.REJECTED if rejected else Disposition.DOCUMENT,
        rule=rule,
    )


def test_a_proved_sender_gets_an_answer_below_the_mail() -> None:
    found = target("References: <0@supplier.example> <00@x.example>\r\nContent-Language: de-DE\r\n")
    assert found == AnswerTarget(
        recipient="anna@supplier.example",
        message_id="<1@supplier.example>",
        references=("<0@supplier.example>", "<00@x.example>"),
        subject="Invoice",
        language="de",
    )


def test_an_id_that_a_mail_program_would_decode_is_left_out() -> None:
    found = target("References: <0@supplier.example> <=?utf-8?q?=3D?=?utf-8?q?=0D=0ABcc:x@y.example?=@x.example>\r\n")
    assert found is not None
    assert found.references == ("<0@supplier.example>",)


def test_a_forged_sender_never_gets_one() -> None:
    assert target(proof=Authentication(dmarc="fail")) is None
    assert target(proof=Authentication()) is None


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "From: \r\n",
        "From: anna@supplier.example, eve@evil.example\r\n",
        "From: friends: anna@supplier.example, eve@evil.example;\r\n",
        "From: undisclosed:;\r\n",
        "From: anna@supplier.example\r\nFrom: eve@evil.example\r\n",
        "From: upload@dms.example\r\n",
        "From: anyone@DMS.example\r\n",
        "From: upload.0123@other.example\r\n",
        "From: noreply@supplier.example\r\n",
        "From: no-reply@supplier.example\r\n",
        "From: MAILER-DAEMON@supplier.example\r\n",
        'From: "anna\\r\\nBcc: x"@supplier.example\r\n',
        "From: anna@localhost\r\n",
        f"From: {'a' * 65}@supplier.example\r\n",
    ],
)
def test_a_sender_that_is_not_one_foreign_person_gets_none(sender: str) -> None:
    assert target(mail=f"{sender}To: upload.0123456789abcdef@dms.example\r\n") is None


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; x=y",
        "Return-Path: <>",
        "Content-Type: multipart/report; report-type=delivery-status",
        "Precedence: bulk",
        "precedence: List",
        "List-Id: <news.supplier.example>",
        "List-Unsubscribe: <https://supplier.example/>",
        "X-Auto-Response-Suppress: All",
        f"In-Reply-To: <{MESSAGE_ID_MARK}{'0' * 32}@dms.example>",
        f"References: <1@x.example>\r\n <{MESSAGE_ID_MARK}{'f' * 32}@dms.example>",
        "To: upload@dms.example",
        "To: Answers <ANSWERS@dms.example>",
    ],
)
def test_a_program_a_list_and_an_answer_to_an_answer_get_none(header: str) -> None:
    assert target(f"{header}\r\n") is None


def test_a_header_that_says_no_changes_nothing() -> None:
    assert target("Auto-Submitted: no\r\nX-Auto-Response-Suppress: None\r\nPrecedence: first-class\r\n") is not None


@pytest.mark.parametrize(
    ("header", "sender", "language"),
    [
        ("Content-Language: en-US", "anna@supplier.de", "en"),
        ("Accept-Language: de-DE, en-US", "anna@supplier.example", "de"),
        ("Accept-Language: fr-FR", "anna@supplier.at", "de"),
        ("X: y", "anna@supplier.ch", "de"),
        ("X: y", "anna@supplier.example", "en"),
    ],
)
def test_the_language_is_that_of_the_mail_or_of_the_senders_country(header: str, sender: str, language: str) -> None:
    found = target(f"{header}\r\n", mail=MAIL.replace("anna@supplier.example", sender))
    assert found is not None
    assert found.language == language


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ([part(Rule.FILE)], (AnswerKind.RECEIVED,)),
        ([part(Rule.MAIL_WITHOUT_DOCUMENTS)], (AnswerKind.NOTHING_USABLE,)),
        ([part(Rule.EMPTY), part(Rule.MAIL_WITHOUT_DOCUMENTS)], (AnswerKind.NOTHING_USABLE,)),
        ([part(Rule.DANGEROUS_TYPE), part(Rule.FILE)], (AnswerKind.DANGEROUS_TYPE, AnswerKind.RECEIVED)),
        ([part(Rule.FILE, encrypted=True)], (AnswerKind.ENCRYPTED, AnswerKind.RECEIVED)),
        (
            [part(Rule.TOO_LARGE), part(Rule.DANGEROUS_TYPE), part(Rule.BODY)],
            (AnswerKind.DANGEROUS_TYPE, AnswerKind.TOO_LARGE, AnswerKind.NOTHING_USABLE),
        ),
    ],
)
def test_the_kind_follows_from_the_parts(parts: list[Part], kinds: tuple[AnswerKind, ...]) -> None:
    answer = answer_to_stored(target(), parts)
    assert answer is not None
    assert answer.kinds == kinds


def test_the_answer_names_what_was_taken_and_what_was_not() -> None:
    parts = [part(Rule.FILE, name="a.pdf"), part(Rule.DANGEROUS_TYPE, name="b\r\nBcc: x.exe"), part(Rule.BODY)]
    answer = answer_to_stored(target(), parts)
    assert answer is not None
    assert (answer.documents, answer.refused) == (("a.pdf",), (("b Bcc: x.exe", Rule.DANGEROUS_TYPE),))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.NO_TOKEN, AnswerKind.NO_SUCH_ADDRESS),
        (Reason.UNKNOWN_TOKEN, AnswerKind.NO_SUCH_ADDRESS),
        (Reason.TENANT_INACTIVE, AnswerKind.TENANT_INACTIVE),
    ],
)
def test_a_mail_of_no_tenant_has_the_answer_of_its_reason(reason: Reason, kind: AnswerKind) -> None:
    answer = answer_to_rejected(target(), reason)
    assert answer is not None
    assert answer.kinds == (kind,)
    assert answer_to_rejected(None, reason) is None


@pytest.mark.parametrize("reason", [Reason.UNREADABLE, Reason.PROCESSING_FAILED, Reason.TOO_COSTLY])
def test_a_fault_that_is_not_the_senders_has_none(reason: Reason) -> None:
    assert answer_to_rejected(target(), reason) is None


@given(st.text())
def test_a_strangers_text_fits_into_one_header(text: str) -> None:
    fitted = fit(text, 50)
    assert len(fitted) <= 50
    assert fitted.isprintable()
