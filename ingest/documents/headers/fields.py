"""The header block of a mail or of a part (RFC 5322, obsolete syntax of section 4 included), and what it says.

A line without a colon is skipped, and the fields behind it are read. So are blanks before the colon, leading blank
lines, a byte-order mark, an mbox line; NUL, bare CR and 8-bit bytes. Fields are found on demand in the block's bytes,
so that a block of millions of fields costs its own size and no more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from ingest import log
from ingest.documents.headers import addresses as address_lists
from ingest.documents.headers.encoded_words import decode_bytes, decode_words

MAX_HEADER: Final = 10 * 1024 * 1024  # bytes kept of one header block
MAX_FIELDS: Final = 50_000  # fields of one name that are read
MAX_TEXT: Final = 64 * 1024  # bytes of one field that are read as text
MAX_ADDRESS_TEXT: Final = 2 * 1024 * 1024  # bytes of all fields of one name that are read as addresses
MAX_LEADING: Final = 64 * 1024  # bytes of blank lines in front of a header
MAX_DATE: Final = 100  # characters of a date
_END: Final = re.compile(rb"\n(?:\r?\n)++")
_BLANKS: Final = b" \t\r\n\f\v\xef\xbb\xbf"  # the last three: a byte-order mark
_RECEIVED_FOR: Final = re.compile(r"(?:^|\s)for\s+(<[^<>\s]*>|[^<>\s;,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Headers:
    """A header block: `block` is its bytes, from the first field on. Names are asked in any case.

    A `str` that comes out has its folding undone, is decoded (RFC 2047, 6532), and has neither NUL nor bare CR.
    """

    block: bytes = field(default=b"", repr=False)

    def __contains__(self, name: str) -> bool:
        """Return whether there is a field of this name."""
        return _pattern(name).search(self.block) is not None

    def get(self, name: str) -> str | None:
        """Return the first field of this name, as of `get_all`."""
        return next(map(_text, self._bodies(name)), None)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return the fields of this name in the order of the block, at most MAX_FIELDS of MAX_TEXT bytes each."""
        return tuple(map(_text, self._bodies(name)))

    def raw(self, name: str) -> Iterator[bytes]:
        """Yield the bodies of the fields of this name, in order, as bytes with their folding undone."""
        return map(_unfolded, self._bodies(name))

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses (`local@domain`) in all fields of this name, in order. Display names are none.

        At most MAX_ADDRESS_TEXT bytes are read; a longer list is cut, which is logged.
        """
        left, found = MAX_ADDRESS_TEXT, list[str]()
        for raw in self.raw(name):
            found += address_lists.addresses(raw[:left])
            left -= len(raw)
            if left < 0:
                log.warning("header.cut", field=name)
                break
        return tuple(found)

    def _bodies(self, name: str) -> Iterator[bytes]:
        found = (match[1] for match in _pattern(name).finditer(self.block))
        yield from itertools.islice(found, MAX_FIELDS)
        if next(found, None) is not None:
            log.warning("header.cut", field=name)


def read_headers(blocks: Iterable[bytes]) -> Headers:
    """Return the header block at the beginning of a mail that comes in `blocks`.

    Takes no more blocks than the header reaches into; raises what `blocks` raises. Leading blank lines belong to no
    header and are passed over. Of a longer header, MAX_HEADER bytes are kept, which is logged.
    """
    head, position, begun = bytearray(), 0, False
    for block in blocks:
        head += block
        while (end := _END.search(head, position)) is not None:
            begun = begun or bool(head[position : end.start()].strip(_BLANKS))
            if begun:
                return _headers(head[: end.start() + 1])
            position = end.end() - 1
        begun = begun or bool(head[position:].strip(_BLANKS))
        position = max(position, len(head) - len(b"\n\r"))
        if not begun and position > MAX_LEADING:
            return Headers()
        if len(head) > MAX_HEADER:
            log.warning("header.cut", field="*")
            break
    return _headers(head[:MAX_HEADER])


def parse_headers(mail: bytes) -> Headers:
    """Return the header block at the beginning of a mail, or of a header without a body. As `read_headers`."""
    return read_headers((mail,))


# What the pipeline asks of a mail


def subject(headers: Headers) -> str:
    """Return the mail's subject; empty where it has none."""
    return headers.get("subject") or ""


def message_id(headers: Headers) -> str | None:
    """Return the Message-ID with its angle brackets, as Graph's `internetMessageId`; None where there is none."""
    return headers.get("message-id") or None


def sender(headers: Headers) -> str:
    """Return the first address of From, else that of Sender; empty where neither names one."""
    return next(iter((*headers.addresses("from"), *headers.addresses("sender"))), "")


def to(headers: Headers) -> tuple[str, ...]:
    """Return the addresses of all To fields, as Graph's `toRecipients` has them."""
    return headers.addresses("to")


def cc(headers: Headers) -> tuple[str, ...]:
    """Return the addresses of all Cc fields, as Graph's `ccRecipients` has them."""
    return headers.addresses("cc")


def newest_received(headers: Headers) -> datetime | None:
    """Return the time (UTC) in the newest Received field, which stands first; None where none has a date."""
    dates = (parse_date(text.rpartition(";")[2]) for text in headers.get_all("received"))
    return next((date for date in dates if date is not None), None)


def received_for(headers: Headers) -> tuple[str, ...]:
    """Return the addresses behind `for` in the Received fields (RFC 5321, 4.4), the newest first."""
    found = list[str]()
    for raw in headers.raw("received"):
        text = address_lists.without_comments(raw[:MAX_TEXT].decode("latin-1")).rpartition(";")[0]
        for match in _RECEIVED_FOR.finditer(text):
            found += address_lists.addresses(match[1].encode("latin-1"))
    return tuple(found)


def parse_date(text: str) -> datetime | None:
    """Return a date of RFC 5322 in UTC, the obsolete forms included; None where it is none."""
    plain = address_lists.without_comments(text).strip()
    try:
        date = parsedate_to_datetime(plain[:MAX_DATE])
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None  # the library says ValueError, and breaks in other ways on a few texts


def _headers(block: bytearray) -> Headers:
    return Headers(bytes(block.lstrip(_BLANKS)))


@lru_cache(maxsize=256)
def _pattern(name: str) -> re.Pattern[bytes]:
    """Return a pattern that finds the fields of a name. Group 1: the body with the lines folded below it."""
    return re.compile(
        rb"^%b[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)" % re.escape(name.encode()), re.IGNORECASE | re.MULTILINE
    )


def _unfolded(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"").strip(b" \t\r")


def _text(body: bytes) -> str:
    cut = body[:MAX_TEXT]
    try:
        text = _unfolded(cut).decode().replace("\0", "\ufffd")
    except UnicodeDecodeError:  # line by line: what one program broke does not spoil what the others wrote
        text = "".join(decode_bytes(line.removesuffix(b"\r")) for line in cut.split(b"\n")).strip(" \t")
    return decode_words(text).replace("\r", " ")
