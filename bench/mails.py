"""The mails that are measured: a short text and one incompressible PDF each."""

import hashlib
import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage

from local.graph.admin.client import Admin

PDF_BYTES = 100_000
_SENDERS = 3  # at a time; nothing is measured yet


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A mail as it is delivered, and the SHA-256 of what has to arrive in Blob."""

    message_id: str
    raw: bytes
    document_sha256: str

    @property
    def original_sha256(self) -> str:
        """Of the mail as a whole."""
        return hashlib.sha256(self.raw).hexdigest()


def samples(count: int, *, address: str, label: str, pdf_bytes: int = PDF_BYTES) -> list[Sample]:
    """Make `count` mails to one upload address; the same bytes for the same `label`."""
    return [_sample(f"{label}-{number}", address, pdf_bytes) for number in range(count)]


def deliver_silently(admin: Admin, mails: list[Sample], mailbox: str) -> None:
    """Put mails into a mailbox without telling anybody: a backlog."""
    admin.set_notification_faults(drop_probability=1.0)
    with ThreadPoolExecutor(_SENDERS) as senders:
        deque(senders.map(lambda mail: admin.deliver(mail.raw, [mailbox]), mails), maxlen=0)
    admin.set_notification_faults()


def _sample(name: str, address: str, pdf_bytes: int) -> Sample:
    content = b"%PDF-1.7\n" + random.Random(name).randbytes(pdf_bytes - 15) + b"%%EOF\n"  # noqa: S311 - no secret
    mail = EmailMessage()
    mail["From"] = "Rechnungen <rechnungen@lieferant.example>"
    mail["To"] = address
    mail["Subject"] = f"Rechnung {name}"
    mail["Message-ID"] = f"<{name}@bench.example>"
    mail.set_content("Guten Tag,\n\nanbei unsere Rechnung.\n")
    mail.add_attachment(content, maintype="application", subtype="pdf", filename=f"Rechnung-{name}.pdf")
    return Sample(
        message_id=mail["Message-ID"], raw=mail.as_bytes(), document_sha256=hashlib.sha256(content).hexdigest()
    )
