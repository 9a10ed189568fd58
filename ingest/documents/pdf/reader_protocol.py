"""The form of requests to and answers of the process that reads PDFs."""

from __future__ import annotations

import json
import struct
from datetime import date
from decimal import Decimal

from ingest.documents.pdf.findings import Pdf
from ingest.model.invoice import Invoice, InvoiceKind

READY = b"\n"  # the first byte of a process
REQUEST = struct.Struct("<d")  # processor seconds that the file may take; the open file itself comes along


def to_line(pdf: Pdf, seconds: float) -> bytes:
    """Return an answer: the findings, and the processor seconds that they took."""
    invoice = pdf.invoice
    return (
        json.dumps(
            {
                "encrypted": pdf.encrypted,
                "problem": pdf.problem,
                "seconds": seconds,
                "invoice": None
                if invoice is None
                else {
                    "kind": invoice.kind,
                    "profile": invoice.profile,
                    "number": invoice.number,
                    "issue_date": None if invoice.issue_date is None else invoice.issue_date.isoformat(),
                    "seller": invoice.seller,
                    "total": None if invoice.total is None else str(invoice.total),
                    "currency": invoice.currency,
                    "problem": invoice.problem,
                },
            }
        ).encode()
        + b"\n"
    )


def from_line(line: bytes) -> tuple[Pdf, float]:
    """Return the findings and the seconds of an answer."""
    answer = json.loads(line)
    invoice = answer["invoice"]
    if invoice is not None:
        issue_date, total = invoice.pop("issue_date"), invoice.pop("total")
        invoice = Invoice(
            **{**invoice, "kind": InvoiceKind(invoice["kind"])},
            issue_date=None if issue_date is None else date.fromisoformat(issue_date),
            total=None if total is None else Decimal(total),
        )
    return Pdf(encrypted=answer["encrypted"], invoice=invoice, problem=answer["problem"]), answer["seconds"]
