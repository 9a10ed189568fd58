"""Verdicts on a sender: from the receiving service's own field only, and never from a stranger's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.documents.headers.authentication import read_authentication
from ingest.documents.headers.fields import Headers, parse_headers
from ingest.model.message import Authentication

EXCHANGE = (
    "spf=pass (sender IP is 209.85.218.44) smtp.mailfrom=supplier.example; dkim=pass (signature was verified)"
    " header.d=supplier.example;dmarc=pass action=none header.from=supplier.example;compauth=pass reason=100"
)
FORGED = "spf=pass smtp.mailfrom=bank.example; dkim=pass header.d=bank.example; dmarc=pass header.from=bank.example"
NONE = Authentication(sender_address="billing@supplier.example")


def mail(*fields: str, sender: str = "From: Billing <billing@supplier.example>") -> Headers:
    lines = [f"Authentication-Results: {text}" for text in fields]
    return parse_headers("\r\n".join([*lines, sender, "", "body"]).encode("utf-8", "surrogateescape"))


def read(*fields: str, service: str | None = None, **options: str) -> Authentication:
    return read_authentication(mail(*fields, **options), service=service)


def test_the_verdicts_of_exchange_online_are_read() -> None:
    assert read(EXCHANGE) == Authentication(
        dmarc="pass",
        spf="pass",
        dkim="pass",
        arc=None,
        compauth="pass",
        compauth_reason="100",
        sender_authenticated=True,
        sender_proven=True,
        sender_address="billing@supplier.example",
    )


def test_a_domain_between_two_results_and_one_behind_another_are_passed_over() -> None:
    # As Exchange writes it for some tenants.
    found = read(
        "spf=fail (sender IP is 1.1.1.1) smtp.mailfrom=amazonses.example; receiver.example; dkim=pass (signature was"
        " verified) header.d=supplier.example;receiver.example; dmarc=bestguesspass action=none"
        " header.from=supplier.example;"
    )
    assert (found.spf, found.dkim, found.dmarc, found.sender_authenticated) == ("fail", "pass", "bestguesspass", False)


def test_a_field_is_folded_and_written_in_any_case() -> None:
    assert read(EXCHANGE.replace("; ", ";\r\n\t").replace("dmarc=pass", "DMARC = Pass")).sender_authenticated


def test_only_the_topmost_field_counts() -> None:
    failed = EXCHANGE.replace("dmarc=pass", "dmarc=fail")
    assert read(failed, FORGED).dmarc == "fail"
    assert not read(failed, EXCHANGE).sender_authenticated


@pytest.mark.parametrize("name", ["mx.evil.example", "mx.evil.example 1", "supplier.example", "x" * 300])
def test_a_field_of_another_service_is_not_believed(name: str) -> None:
    assert read(f"{name}; {FORGED}") == NONE
    assert read(f"{name}; {FORGED}", EXCHANGE) == NONE
    assert read(f"{name}; {FORGED}", service="mx.ours.example") == NONE


def test_a_service_with_a_name_is_believed_under_its_name_only() -> None:
    assert read(f"mx.ours.example; {EXCHANGE}", service="MX.ours.example").sender_authenticated
    assert read(f"mx.ours.example 1; {EXCHANGE}", service="mx.ours.example").sender_authenticated
    assert read(EXCHANGE, service="mx.ours.example") == NONE
    assert read(f"mx.ours.example.evil; {EXCHANGE}", service="mx.ours.example") == NONE


@pytest.mark.parametrize(
    "sender",
    [
        "From: billing@another.example",
        "From: billing@supplier.example, ceo@supplier.example",
        "From: billing@supplier.example\r\nFrom: ceo@supplier.example",
        "From: undisclosed:;",
        "From: Billing: billing@supplier.example;",
        "From:",
        "Sender: billing@supplier.example",
        "From: billing@supplier.example.evil",
        "From: billing@suppli\u0435r.example",  # a Cyrillic letter
        'From: "billing@supplier.example" <x@evil.example>',
    ],
)
def test_the_sender_is_the_one_address_in_from_or_is_not_authenticated(sender: str) -> None:
    found = read(EXCHANGE, sender=sender)
    assert found.dmarc == "pass"
    assert not found.sender_authenticated
    assert not found.sender_proven


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("From: Billing <Billing@Supplier.EXAMPLE>", "billing@supplier.example"),
        ('From: "Billing: all, of us" <billing@supplier.example>', "billing@supplier.example"),
        ("From: (a: b) billing@supplier.example", "billing@supplier.example"),
        ("From: billing@m\u00fcller.example", "billing@xn--mller-kva.example"),
        ("From: billing@supplier.example, ceo@supplier.example", None),
        ("From: a@supplier.example\r\nFrom: b@supplier.example", None),
        ("From: Billing: billing@supplier.example;", None),
        ("From: undisclosed:;", None),
        ("From:", None),
        ("Sender: billing@supplier.example", None),
        ("From: " + "x@supplier.example," * 10_000, None),
    ],
)
def test_the_address_of_the_sender_is_the_only_one_or_none(sender: str, address: str | None) -> None:
    assert read(EXCHANGE, sender=sender).sender_address == address
    assert read(sender=sender).sender_address == address


@pytest.mark.parametrize(
    ("verdicts", "proven"),
    [
        ("dmarc=pass action=none header.from=supplier.example", True),
        ("dmarc=bestguesspass action=none header.from=supplier.example;compauth=pass reason=109", True),
        ("dmarc=none action=none header.from=supplier.example;compauth=pass reason=702", True),
        ("dmarc=none action=none header.from=other.example;compauth=pass reason=702", False),
        ("compauth=pass reason=100", False),
        ("dmarc=fail action=none header.from=supplier.example;compauth=fail reason=001", False),
        ("dmarc=none action=none header.from=supplier.example;compauth=softpass reason=202", False),
        ("dmarc=none action=none header.from=supplier.example;compauth=none reason=451", False),
    ],
)
def test_a_sender_is_proven_by_dmarc_or_by_compauth_for_the_domain_of_from(
    verdicts: str,
    proven: bool,  # noqa: FBT001 - parametrized
) -> None:
    assert read(f"spf=pass smtp.mailfrom=supplier.example; {verdicts}").sender_proven is proven


def test_a_domain_in_its_ascii_form_proves_the_same_domain_in_letters() -> None:
    field = "dmarc=pass action=none header.from=xn--mller-kva.example;compauth=pass reason=100"
    found = read(field, sender="From: rechnung@M\u00dcLLER.example")
    assert (found.sender_address, found.sender_proven) == ("rechnung@xn--mller-kva.example", True)


def test_one_of_two_signatures_suffices_and_another_methods_second_verdict_does_not() -> None:
    found = read("dkim=fail header.d=a; dkim=pass header.d=b; spf=fail smtp.mailfrom=a; spf=pass smtp.mailfrom=b")
    assert (found.dkim, found.spf) == ("pass", "fail")
    assert read("dmarc=fail header.from=supplier.example; dmarc=pass header.from=supplier.example").dmarc == "fail"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "none",
        "spf",
        "spf=",
        "=pass",
        "spf=pass=pass",
        "(spf=pass; dmarc=pass header.from=supplier.example",
        '"dmarc=pass header.from=supplier.example"',
        "spf=fail (; dmarc=pass header.from=supplier.example;",
        'spf=fail smtp.mailfrom="; dmarc=pass header.from=supplier.example"',
        "spf=fail smtp.mailfrom=\\; x-dmarc=pass",
        "spf=fail smtp.mailfrom=a;\0dmarc=pass header.from=supplier.example",
        "dmarc=pass\x0bheader.from=",
        "dmarc=p\u0430ss header.from=supplier.example",  # a Cyrillic letter
    ],
)
def test_malformed_fields_authenticate_no_sender(text: str) -> None:
    assert not read(text).sender_authenticated


@pytest.mark.parametrize("piece", ["(", "((", ";", "a=b;", '"', "\\", "dmarc=pass;", "dmarc=fail header.from=x "])
def test_a_long_field_costs_little_and_proves_nothing(piece: str) -> None:
    began = time.process_time()
    found = read("spf=fail; " + piece * 100_000)
    assert found == NONE, "longer than any field of a service"
    assert not read("spf=fail; " + piece * (60_000 // len(piece))).sender_authenticated
    assert time.process_time() - began < 5, "linear work"


@pytest.mark.parametrize("piece", ['"', '"\\', '\\"', "(", "<", "a@", ",", ":"])
def test_a_long_from_costs_little_and_names_no_sender(piece: str) -> None:
    headers = parse_headers(f"From: {piece * (64_000 // len(piece))}\r\n\r\n".encode())
    began = time.process_time()
    assert read_authentication(headers, service=None) == Authentication()
    assert time.process_time() - began < 5, "linear work"


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    found = read(text.encode("utf-8", "replace").decode().replace("\n", " ").replace("\r", " "))
    for verdict in (found.dmarc, found.spf, found.dkim, found.arc, found.compauth):
        assert verdict is None or verdict.isalnum()
