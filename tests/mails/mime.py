"""Puts mails together header by header, so that they look as this or that mail program writes them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from email.header import Header

TOKEN = "5a3c0f1e2d4b6978890a1b2c3d4e5f60"  # of the tenant to whom all samples are addressed  # noqa: S105 - no secret
ADDRESS = f"upload.{TOKEN}@dms.cloud"
_NEWLINE = b"\r\n"


def entity(headers: Sequence[str], body: bytes) -> bytes:
    """A part: its headers as they are, and its body as it is."""
    return b"".join(header.encode() + _NEWLINE for header in headers) + _NEWLINE + body


def text(content: str, subtype: str = "plain", *, charset: str = "utf-8") -> bytes:
    """A body, unencoded."""
    lines = content.replace("\n", "\r\n").encode(charset)
    return entity([f"Content-Type: text/{subtype}; charset={charset}", "Content-Transfer-Encoding: 8bit"], lines)


def file(
    name: str,
    content_type: str,
    content: bytes,
    *,
    disposition: str = "attachment",
    cid: str | None = None,
    extra: Sequence[str] = (),
) -> bytes:
    """A file in base64. The name must be ASCII; others are given by `named`."""
    return named(
        f'Content-Disposition: {disposition}; filename="{name}"',
        f'{content_type}; name="{name}"' if name else content_type,
        content,
        extra=[*([f"Content-ID: <{cid}>"] if cid else []), *extra],
    )


def named(disposition: str, content_type: str, content: bytes, *, extra: Sequence[str] = ()) -> bytes:
    """A file in base64, with its whole Content-Disposition header as given."""
    encoded = base64.encodebytes(content).replace(b"\n", _NEWLINE)
    headers = [f"Content-Type: {content_type}", disposition, "Content-Transfer-Encoding: base64", *extra]
    return entity([header for header in headers if header], encoded)


def attached(message: bytes, *, name: str | None = None) -> bytes:
    """A mail as an attachment."""
    parameter = f'; filename="{name}"' if name else ""
    return entity(["Content-Type: message/rfc822", f"Content-Disposition: attachment{parameter}"], message)


def multipart(subtype: str, *parts: bytes, parameters: str = "") -> bytes:
    """Parts in a row. The boundary follows from what is inside."""
    boundary = "=_" + hashlib.sha256(subtype.encode() + b"".join(parts)).hexdigest()[:24]
    delimiter = f"--{boundary}".encode()
    body = b"".join(delimiter + _NEWLINE + part + _NEWLINE for part in parts) + delimiter + b"--" + _NEWLINE
    return entity([f'Content-Type: multipart/{subtype}; boundary="{boundary}"{parameters}'], body)


def mail(subject: str, content: bytes, *, mailer: str = "", to: str = ADDRESS, extra: Sequence[str] = ()) -> bytes:
    """A whole mail around its content."""
    identity = hashlib.sha256(subject.encode() + content).hexdigest()[:24]
    headers = [
        "Date: Fri, 14 Mar 2025 09:12:33 +0100",
        f"Message-ID: <{identity}@nordlicht.example>",
        f"Subject: {Header(subject, 'utf-8').encode() if not subject.isascii() else subject}",
        "From: Rechnungsstelle Nordlicht GmbH <rechnung@nordlicht.example>",
        f"To: {to}",
        *([f"X-Mailer: {mailer}"] if mailer else []),
        *extra,
        "MIME-Version: 1.0",
    ]
    return b"".join(header.encode() + _NEWLINE for header in headers) + content
