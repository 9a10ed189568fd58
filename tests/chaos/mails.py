"""Mails from a seed: the same number gives the same bytes, with what has to become of them."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from local.tenants import DOMAIN, LocalTenant, upload_address
from tests.mails import hostile

SUBJECT = "Chaos"
KINDS = 15  # of mails; so many in a row hold each of them once
_WITH_LOGO, _WITH_MAIL = 7, 8
_BOMB_EVERY = 100  # mails; one of so many carries a hostile file as well
_OLDER_EVERY = 4  # mails; one of so many arrived long ago, and is looked for among the earlier copies before its upload
_LARGE_EVERY = 10  # of the mails of a kind is as large as that; the others would be drowned in its bytes
_SENT_AT = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)
_UNKNOWN_TOKEN = "f" * 32
_LARGE = 5 * 1024 * 1024  # bytes: more than one block of the app's uploads
_PLAIN = b"Data of a test\n"
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


_BOUNDARY = re.compile(rb'boundary="([^"]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A mail, and what has to become of it: stored for `tenant`, or quarantined with `reason`.

    `files` are the SHA-256 of the attached files, each of which has to be kept. Empty files are not among them,
    nor are attached mails, which may be kept whole or taken apart.
    """

    number: int
    subject: str
    recipients: tuple[str, ...]
    mime: bytes
    tenant: str | None
    reason: str | None
    files: frozenset[str]

    @property
    def without_boundaries(self) -> str:
        """The hash of the whole mail, the same for all boundaries of its MIME."""
        return Content.of(self.mime).without_boundaries


@dataclass(frozen=True, kw_only=True)
class Content:
    """A content by its hashes: of all bytes, and with numbers in the place of MIME boundaries."""

    sha256: str
    without_boundaries: str

    @classmethod
    def of(cls, content: bytes) -> Content:
        plain = content
        for number, boundary in enumerate(_BOUNDARY.findall(content)):
            plain = plain.replace(boundary, b"boundary-%d" % number)
        return cls(sha256=hashlib.sha256(content).hexdigest(), without_boundaries=hashlib.sha256(plain).hexdigest())


def mails(seed: int, tenants: Sequence[LocalTenant]) -> Iterator[Sent]:
    """Mails without end."""
    number = 0
    while True:
        yield _mail(seed, number, tenants)
        number += 1


def _mail(seed: int, number: int, tenants: Sequence[LocalTenant]) -> Sent:
    draw = random.Random(f"{seed} {number}")  # noqa: S311 - replayable, not unpredictable
    kind = number % KINDS
    tenant = draw.choice(tenants)
    recipients, reason = _recipients(kind, tenant, draw.choice(tenants))
    message = EmailMessage(policy=SMTP)
    if number % _OLDER_EVERY == 0:
        message["Received"] = f"from sender.example by exchange.example; {format_datetime(_SENT_AT)}"
    message["Date"] = format_datetime(_SENT_AT)
    # Every seventh mail claims to be the one before it: ids of senders prove nothing.
    message["Message-ID"] = f"<{seed}.{number - (number % 7 == 0)}@sender.example>"
    message["Subject"] = f"{SUBJECT} {seed}.{number}"
    # Exchange Online has proved every other sender; the rest are forged, and never get an answer.
    verdict = "pass" if number % 2 else "fail"
    message["Authentication-Results"] = f"dmarc={verdict} action=none header.from=sender.example"
    message["From"] = f"Absender <{sender_of(number)}>"
    message["To"] = ", ".join(recipients)
    message.set_content(f"Mail {number}\n")
    if kind == _WITH_LOGO:
        _add_logo(message)
    if kind == _WITH_MAIL:
        _add_mail(message, number)
    # No detection takes a file with this beginning for a program.
    files = [(_PLAIN + draw.randbytes(size))[:size] for size in _sizes(kind, number, draw)]
    for index, content in enumerate(files):
        message.add_attachment(content, "application", "octet-stream", filename=f"{number}-{index}.dat")
    if number % _BOMB_EVERY == _BOMB_EVERY - 1:
        _add_bomb(message, number // _BOMB_EVERY)
    _fix_boundaries(message, f"{seed} {number}")
    return Sent(
        number=number,
        subject=str(message["Subject"]),
        recipients=recipients,
        mime=message.as_bytes(),
        tenant=None if reason else tenant.name,
        reason=reason,
        files=frozenset(hashlib.sha256(content).hexdigest() for content in files if content),
    )


def sender_of(number: int) -> str:
    """The address of a mail's sender: each mail has its own."""
    return f"absender-{number}@sender.example"


def _recipients(kind: int, tenant: LocalTenant, other: LocalTenant) -> tuple[tuple[str, ...], str | None]:
    """Whom a mail is addressed to, and why it has to end in Quarantine, where it has to."""
    match kind:
        case 0:
            return (upload_address(_UNKNOWN_TOKEN),), "unknown_token"
        case 1:
            return (f"info@{DOMAIN}",), "no_token"
        case 2:  # the first token of a tenant decides
            return (upload_address(_UNKNOWN_TOKEN), tenant.address, other.address), None
        case 3:
            return (upload_address(tenant.token.upper()),), None
        case _:
            return (tenant.address,), None


def _sizes(kind: int, number: int, draw: random.Random) -> tuple[int, ...]:
    """Of the attached files, in bytes."""
    match kind:
        case 4:
            return ()
        case 5:
            return tuple(draw.randrange(1, 5_000) for _ in range(4))
        case 6:
            return (0, 300)
        case 9 if number // KINDS % _LARGE_EVERY == 0:
            return (_LARGE + draw.randrange(100_000),)
        case 9:
            return (draw.randrange(20_000, 600_000),)
        case _:
            return (draw.randrange(100, 20_000),)


def _add_logo(message: EmailMessage) -> None:
    message.add_alternative('<p><img src="cid:logo@sender.example"></p>', subtype="html")
    html = message.get_body(("html",))
    assert html is not None
    html.add_related(_PNG, "image", "png", cid="<logo@sender.example>", filename="logo.png", disposition="inline")


def _add_mail(message: EmailMessage, number: int) -> None:
    inner = EmailMessage(policy=SMTP)
    inner["Subject"] = f"Forwarded {number}"
    inner["From"] = "somebody@sender.example"
    inner["To"] = "absender@sender.example"
    inner.set_content("Forwarded.\n")
    message.add_attachment(inner)


def _add_bomb(message: EmailMessage, number: int) -> None:
    bombs = list(hostile.files())
    name, content = bombs[number % len(bombs)]
    message.add_attachment(content, "application", "octet-stream", filename=name)


def _fix_boundaries(message: EmailMessage, seed: str) -> None:
    """The standard library draws them at random."""
    for index, part in enumerate(message.walk()):
        if part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_{hashlib.sha256(f'{seed} {index}'.encode()).hexdigest()[:32]}")
