"""Sender addresses in the form in which they are compared with lists: domains in lower case and in their ASCII form.

A domain of another script is compared by its ASCII form (`xn--…`, RFC 5891), so that two domains that look alike
differ. Nothing else is mapped: a character that merely looks like, or folds to, an ASCII letter makes no ASCII domain.

https://datatracker.ietf.org/doc/html/rfc5891
"""

from __future__ import annotations

import re
import unicodedata

MAX_ADDRESS = 320  # characters: 64 before the @, 255 behind it (RFC 5321, 4.5.3.1)
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOCAL = re.compile(r"[^@\s<>()\",;\x00-\x1f\x7f]{1,64}")


def comparable_address(address: str) -> str | None:
    """Return an address as lists have it; None for text that is no address. `ingest.normal_sender` takes the result."""
    local, _, domain = address.strip().rpartition("@")
    ascii_domain = comparable_domain(domain)
    if ascii_domain is None or not local.isprintable() or not _LOCAL.fullmatch(local):
        return None
    # Case counts in no mailbox of practice. Beyond ASCII a fold could turn one mailbox into another.
    lowered = "".join(character.lower() if character.isascii() else character for character in local)
    found = f"{lowered}@{ascii_domain}"
    return found if len(found) <= MAX_ADDRESS else None


def comparable_domain(domain: str) -> str | None:
    """Return a domain in lower case and in its ASCII form; None for text that is no domain of two labels or more."""
    if len(domain) > MAX_ADDRESS:
        return None
    labels = [_ascii_label(label) for label in domain.split(".")]
    found = ".".join(label for label in labels if label is not None)
    return found if None not in labels and _DOMAIN.fullmatch(found) else None


def _ascii_label(label: str) -> str | None:
    """Return a label in its ASCII form; None where it has invisible characters, or folds to ASCII alone."""
    if label.isascii():
        return label.lower()
    folded = unicodedata.normalize("NFC", label.lower())
    if folded.isascii() or not folded.isprintable():
        return None
    return f"xn--{folded.encode('punycode').decode('ascii')}"
