"""An e-invoice as a person reads it."""

import pytest

from console.invoice_sheet import MAX_DEPTH, read_sheet
from tests.mails import invoices


@pytest.mark.parametrize("xml", [invoices.ubl("RE-4711"), invoices.cii("RE-4711")], ids=["ubl", "cii"])
def test_number_seller_and_total_are_shown(xml: bytes) -> None:
    sheet = read_sheet(xml)
    assert sheet is not None
    assert (sheet.number, sheet.currency, sheet.gross) == ("RE-4711", "EUR", "1190.00")
    assert sheet.seller.name
    assert sheet.issue_date.count("-") == 2


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"<a/>",
        b"<Invoice",
        b'<!DOCTYPE Invoice [<!ENTITY a "b">]><Invoice/>',
        b"<a>" * (MAX_DEPTH + 1),
        invoices.ubl("RE-4711")[:400],
    ],
    ids=["empty", "other", "broken", "entities", "deep", "cut"],
)
def test_other_xml_has_no_sheet(xml: bytes) -> None:
    assert read_sheet(xml) is None
