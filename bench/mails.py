"""The mails that are measured: a short text and incompressible PDF files."""

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
    """A mail as it is delivered, and the SHA-256 of each document that has to arrive in Blob."""

    message_id: str
    raw: bytes
    document_sha256s: tuple[str, ...]

    @property
    def original_sha256(self) -> str:
        """Return the SHA-256 of the whole mail."""
        return hashlib.sha256(self.raw).hexdigest()


def samples(count: int, *, address: str, label: str, pdf_bytes: int = PDF_BYTES, attachments: int = 1) -> list[Sample]:
    """Make `count` mails to one upload address; the same bytes for the same `label`."""
    return [_sample(f"{label}-{number}", address, pdf_bytes, attachments) for number in range(count)]


def deliver_silently(admin: Admin, mails: list[Sample], mailbox: str) -> None:
    """Put mails into a mailbox without notifications: a backlog."""
    admin.set_notification_faults(drop_probability=1.0)
    with ThreadPoolExecutor(_SENDERS) as senders:
        deque(senders.map(lambda mail: admin.deliver(mail.raw, [mailbox]), mails), maxlen=0)
    admin.set_notification_faults()


def _sample(name: str, address: str, pdf_bytes: int, attachments: int) -> Sample:
    noise = random.Random(name)  # noqa: S311 - no secret
    contents = [b"%PDF-1.7\n" + noise.randbytes(pdf_bytes - 15) + b"%%EOF\n" for _ in range(attachments)]
    mail = EmailMessage()
    mail["From"] = "Rechnungen <rechnungen@lieferant.example>"
    mail["To"] = address
    mail["Subject"] = f"Rechnung {name}"
    mail["Message-ID"] = f"<{name}@bench.example>"
    mail.set_content("Guten Tag,\n\nanbei unsere Rechnung.\n")
    for number, content in enumerate(contents, start=1):
        file_name = f"Rechnung-{name}-{number}.pdf"
        mail.add_attachment(content, maintype="application", subtype="pdf", filename=file_name)
    return Sample(
        message_id=mail["Message-ID"],
        raw=mail.as_bytes(),
        document_sha256s=tuple(hashlib.sha256(content).hexdigest() for content in contents),
    )
