"""The mails that are measured: a short text and incompressible PDF files."""

import base64
import hashlib
import random
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from local.graph.admin.client import Admin

PDF_BYTES = 100_000
_SENDERS = 3  # at a time; nothing is measured yet
_HEAD = b"""\
From: Rechnungen <rechnungen@lieferant.example>
To: %s
Subject: %s
Message-ID: %s
MIME-Version: 1.0
"""
_TEXT = b"""\
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

Guten Tag,

anbei unsere Rechnung.
"""
_MIXED = b"""\
Content-Type: multipart/mixed; boundary="===============of-the-benchmark=="

--===============of-the-benchmark==
%s
%s--===============of-the-benchmark==--
"""
_FILE = b"""\
--===============of-the-benchmark==
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="%s"
MIME-Version: 1.0

%s
"""


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


@contextmanager
def silently(admin: Admin) -> Iterator[None]:
    """Announce no mail that comes during the block: a backlog."""
    admin.set_notification_faults(drop_probability=1.0)
    yield
    admin.set_notification_faults()


def deliver_silently(admin: Admin, mails: list[Sample], mailbox: str) -> None:
    """Put mails into a mailbox without notifications."""
    with silently(admin), ThreadPoolExecutor(_SENDERS) as senders:
        deque(senders.map(lambda mail: admin.deliver(mail.raw, [mailbox]), mails), maxlen=0)


def with_files(*, message_id: str, to: str, subject: str, files: Mapping[str, bytes]) -> bytes:
    """Return a mail with PDF files, by name; without the package `email`, which is slow and not measured."""
    head = _HEAD % (to.encode(), subject.encode(), message_id.encode())
    if not files:
        return head + _TEXT
    parts = [_FILE % (name.encode(), base64.encodebytes(content)) for name, content in files.items()]
    return head + _MIXED % (_TEXT, b"".join(parts))


def _sample(name: str, address: str, pdf_bytes: int, attachments: int) -> Sample:
    noise = random.Random(name)  # noqa: S311 - no secret
    contents = [b"%PDF-1.7\n" + noise.randbytes(pdf_bytes - 15) + b"%%EOF\n" for _ in range(attachments)]
    message_id = f"<{name}@bench.example>"
    files = {f"Rechnung-{name}-{number}.pdf": content for number, content in enumerate(contents, start=1)}
    return Sample(
        message_id=message_id,
        raw=with_files(message_id=message_id, to=address, subject=f"Rechnung {name}", files=files),
        document_sha256s=tuple(hashlib.sha256(content).hexdigest() for content in contents),
    )
