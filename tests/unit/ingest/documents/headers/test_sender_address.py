"""Addresses as lists of senders compare them: case does not count, and two domains that look alike are two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.documents.headers.sender_address import comparable_address, comparable_domain


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Billing@Supplier.Example", "billing@supplier.example"),
        (" billing@supplier.example ", "billing@supplier.example"),
        ("billing+x@a.b.example", "billing+x@a.b.example"),
        ("m\u00fcller@supplier.example", "m\u00fcller@supplier.example"),
        ("rechnung@m\u00fcller.example", "rechnung@xn--mller-kva.example"),
        ("rechnung@mu\u0308ller.example", "rechnung@xn--mller-kva.example"),  # two code points for the one letter
        ("rechnung@M\u00dcLLER.example", "rechnung@xn--mller-kva.example"),
        ("rechnung@XN--MLLER-KVA.example", "rechnung@xn--mller-kva.example"),
        ("rechnung@stra\u00dfe.example", "rechnung@xn--strae-oqa.example"),
    ],
)
def test_one_address_is_compared_in_one_form(written: str, compared: str) -> None:
    assert comparable_address(written) == compared


@pytest.mark.parametrize(
    "look_alike",
    [
        "suppli\u0435r.example",  # a Cyrillic letter
        "supplier.ex\u0430mple",
        "\uff53upplier.example",  # a full-width letter
        "supplier\u3002example",  # an ideographic full stop
        "supplier\uff0eexample",
        "supp\u200blier.example",  # a zero-width space
        "supplier.example.evil",
        "xn--supplier.example",
        "supplier-example",
        "strasse.example",
    ],
)
def test_a_domain_that_looks_alike_is_another_or_none(look_alike: str) -> None:
    assert comparable_domain(look_alike) not in {"supplier.example", comparable_domain("stra\u00dfe.example")}


def test_a_sign_that_folds_to_a_letter_makes_no_ascii_domain() -> None:
    assert comparable_domain("ban\u212a.example") is None  # the Kelvin sign is a K
    assert comparable_address("\u212aate@supplier.example") != comparable_address("kate@supplier.example")


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "a@", "@a.example", "a@localhost", "a b@c.example", "a@b@c.example", "<a@c.example>"),
        *("a@-c.example", "a@c..example", "a@[192.0.2.1]", '"a b"@c.example', "a@c.example\0", "a\n@c.example"),
        *("a@" + "c" * 64 + ".example", "a" * 65 + "@c.example", "a@" + "\u00fc" * 400, "a@\ud800.example"),
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert comparable_address(text) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_form_and_the_form_is_stable(text: str) -> None:
    found = comparable_address(text)
    if found is not None:
        assert comparable_address(found) == found
        assert found.rpartition("@")[2].isascii()
