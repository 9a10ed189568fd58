"""The data of an e-invoice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum


class InvoiceKind(StrEnum):
    """The syntax of an e-invoice, and whether it came as XML or inside a PDF."""

    UBL_INVOICE = "ubl_invoice"
    UBL_CREDIT_NOTE = "ubl_credit_note"
    CII = "cii"
    ZUGFERD = "zugferd"  # CII inside a PDF: ZUGFeRD, Factur-X


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoice:
    """The data of an e-invoice, by the terms of EN 16931 (BT-…); None where the invoice has no such term.

    `profile`: a short name where the specification identifier (BT-24) is a known one, else the identifier.
    `total`: with VAT (BT-112), in `currency` (BT-5). `problem`: what is wrong with it, in words for people.
    """

    kind: InvoiceKind
    profile: str | None = None
    number: str | None = field(default=None, repr=False)
    issue_date: date | None = None
    seller: str | None = field(default=None, repr=False)
    total: Decimal | None = field(default=None, repr=False)
    currency: str | None = None
    problem: str | None = field(default=None, repr=False)
