"""Every term that is read of an e-invoice, as KoSIT's and other programs read it, over samples of each profile."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from ingest.model.invoice import Invoice, InvoiceKind
from tests.einvoices.__main__ import REFERENCE, SAMPLES, differences, ours

READ: dict[str, dict[str, str | None]] = json.loads(REFERENCE.read_text(encoding="utf-8"))
# The usual name of each specification identifier (BT-24), from the pages of its publisher.
PROFILES = {
    "urn:cen.eu:en16931:2017": "en16931",
    "urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic": "basic",
    "urn:cen.eu:en16931:2017:compliant:factur-x.eu:1p0:basic": "basic",
    "urn:cen.eu:en16931:2017#compliant#urn:zugferd.de:2p0:basic": "basic",
    "urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended": "extended",
    "urn:cen.eu:en16931:2017:compliant:factur-x.eu:1p0:extended": "extended",
    "urn:factur-x.eu:1p0:basicwl": "basic_wl",
    "urn:factur-x.eu:1p0:minimum": "minimum",
    "urn:zugferd.de:2p0:minimum": "minimum",
    "urn:ferd:CrossIndustryDocument:invoice:1p0:basic": "basic",
    "urn:ferd:CrossIndustryDocument:invoice:1p0:comfort": "comfort",
    "urn:ferd:CrossIndustryDocument:invoice:1p0:extended": "extended",
    "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0": "peppol_bis_billing_3.0",
    "urn:cen.eu:en16931:2017#compliant#urn:xoev-de:kosit:standard:xrechnung_1.2": "xrechnung_1.2",
    "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0": "xrechnung_3.0",
    "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
    "#compliant#urn:xeinkauf.de:kosit:xrechnung:cvd_0.9": "xrechnung_3.0",
    "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
    "#conformant#urn:xeinkauf.de:kosit:extension:xrechnung_3.0": "xrechnung_3.0_extension",
}


def test_every_sample_has_a_reference() -> None:
    assert READ.keys() == {path.name for path in SAMPLES.iterdir()} - {"README.md"}


def test_every_syntax_and_profile_has_a_sample() -> None:
    assert {read["kind"] for read in READ.values()} == set(InvoiceKind)
    assert {read["identifier"] for read in READ.values()} == PROFILES.keys()


def test_every_term_that_is_read_is_compared() -> None:
    compared = {"kind", "number", "issue_date", "seller", "total", "currency"}  # `profile` and `problem` are below
    assert {field.name for field in fields(Invoice)} == compared | {"profile", "problem"}


@pytest.mark.parametrize("name", READ)
def test_a_sample_is_read_as_other_programs_read_it(name: str) -> None:
    invoice, reference = ours((SAMPLES / name).read_bytes()), READ[name]
    assert list(differences(invoice, reference)) == []
    assert invoice is not None
    assert invoice.problem is None
    assert invoice.profile == PROFILES[reference["identifier"] or ""]
    level = (reference["level"] or "").replace("basicwl", "basic_wl")
    assert (
        not level or invoice.profile == level or invoice.profile.startswith("xrechnung")
    )  # a national kind of EN 16931
