"""Attached mails: where the parts of a MIME message lie in its file (RFC 2045, 2046), and their content.

Headers are read and decoded by the standard library. Its parser as a whole keeps every attachment in memory as
text, so the walk from boundary to boundary is done here, and content is decoded while it is read.
"""

from __future__ import annotations

import binascii
import email.policy
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message as Headers
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import IO

from ingest.codes import Rule
from ingest.documents.content_ids import shown_content_ids
from ingest.documents.spool import BLOCK, read_range
from ingest.documents.unpacking.bounded import readable
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import PartRejected

LINE = 64 * 1024  # bytes read as one line; longer ones can only be content
MAX_HEADER = 256 * 1024  # bytes of one part's headers; what comes after counts as its content
MAX_FIELD = 16 * 1024  # bytes kept of one field: the library's work grows with their square
MAX_ENCODED = 4096  # characters in which encoded words are looked for
MAX_HEADERS = 2 * 1024 * 1024  # bytes of all parts' headers
MAX_NESTING = 50  # multiparts within multiparts
MAX_MULTIPARTS = 1000
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_LENGTH_OF_ESCAPE = 3  # =4F
_FOLDING = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """A part that is no multipart: its headers, and from where to where its encoded content lies in the file."""

    headers: Headers
    start: int
    end: int

    @property
    def content_type(self) -> str:
        """As declared, in lower case; what is declared badly is text/plain (RFC 2045, 5.2)."""
        return self.headers.get_content_type()

    @property
    def name(self) -> str | None:
        """The file name as the sender wrote it, decoded (RFC 2231, RFC 2047) as far as that is possible.

        Empty where it can't be read at all: the part has one, and so is no body.
        """
        try:
            name = self.headers.get_param("filename", None, "content-disposition")
            if name is None:
                name = self.headers.get_param("name", None, "content-type")
            if name is None:
                return None
            decoded = _decoded_words(collapse_rfc2231_value(name) if isinstance(name, tuple) else str(name))
            return decoded.encode("utf-8", "replace").decode()  # UTF-7 decodes to halves of characters
        except Exception:  # noqa: BLE001 - the library promises no kind of error for a parameter that is broken
            return ""

    @property
    def is_body(self) -> bool:
        """Whether it is to be read as (one form or piece of) the mail's text."""
        return (
            self.content_type in {"text/plain", "text/html"}
            and self.headers.get_content_disposition() != "attachment"
            and self.name is None
        )

    def content(self, file: IO[bytes]) -> Iterator[bytes]:
        """Its bytes without the transfer encoding. What is encoded badly is read as far as it goes."""
        encoded = read_range(file, self.start, self.end)
        match _header(self.headers, "content-transfer-encoding").strip().lower():
            case "base64":
                return _base64_decoded(encoded)
            case "quoted-printable":
                return _quoted_printable_decoded(encoded)
            case _:
                return encoded


def open_mail(file: IO[bytes], *, max_parts: int) -> Container:
    """A mail and what is attached to it. Raises PartRejected(too_many), PartRejected(unreadable)."""
    with readable():
        entities = walk(file, max_parts=max_parts)
        bodies = [entity for entity in entities if entity.is_body and entity.content_type == "text/html"]

        def shown() -> frozenset[str]:
            return frozenset().union(*(shown_content_ids(entity.content(file)) for entity in bodies))

        return Container(
            rule=Rule.ATTACHED_MAIL,
            members=tuple(_member(file, entity) for entity in entities if not entity.is_body),
            is_mail=True,
            shown=shown,
        )


def find_body(file: IO[bytes], *, max_parts: int) -> Entity | None:
    """The body of a mail: its HTML form where there is one, else its text. Raises as `open_mail`."""
    with readable():
        bodies = [entity for entity in walk(file, max_parts=max_parts) if entity.is_body and entity.end > entity.start]
    html = (entity for entity in bodies if entity.content_type == "text/html")
    return next(html, bodies[0] if bodies else None)


def walk(file: IO[bytes], *, max_parts: int) -> list[Entity]:
    """Every part that is no multipart, in the order of the mail. Raises as `open_mail`.

    Only what no mail has is refused: a part without a blank line, a boundary that never closes, or no MIME at all
    are read as mail programs read them. An attached message is one part; its own parts are not walked.
    """
    return list(_Walk(file, max_parts).entities())


@dataclass(slots=True)
class _Walk:
    file: IO[bytes]
    max_parts: int
    _open: list[tuple[bytes, str]] = field(default_factory=list)  # boundary and subtype of the multiparts around
    _header: list[bytes] | None = field(default_factory=list)  # lines so far, while in a header
    _header_size: int = 0
    _field_left: int = MAX_FIELD  # of the field whose lines are being read
    _line_open: bool = False  # the last line was cut by the limit on lines
    _current: tuple[Headers, int] | None = None  # of the part whose content is being passed
    _count: int = 0
    _multiparts: int = 0
    _headers_left: int = MAX_HEADERS
    _levels: dict[bytes, int] = field(default_factory=dict)  # delimiter → index in _open, of equal ones the innermost

    def entities(self) -> Iterator[Entity]:
        position = 0  # of a line's first byte
        while line := self._line(position):
            delimiter = self._delimiter(line) if line.startswith(b"--") else None
            if delimiter is not None:
                yield from self._end(position - self._newline_before(position))
                self._enter(*delimiter)
            elif self._header is not None:
                self._header_line(line, position)
            position += len(line)
            if self._header is None:
                position = self._next_delimiter(position)
        yield from self._end(self.file.seek(0, io.SEEK_END))

    def _line(self, position: int) -> bytes:
        self.file.seek(position)
        return self.file.readline(LINE)

    def _next_delimiter(self, position: int) -> int:
        """Return the position of the next delimiter, or of the end. Each byte of the content is read about once."""
        start = max(0, position - 1)  # with the line break before a delimiter
        while self._open:
            self.file.seek(start)
            block = self.file.read(BLOCK)
            last = len(block) < BLOCK
            found = block.find(b"\n--")
            while found >= 0:
                end = block.find(b"\n", found + 1)
                if end < 0 and not last:
                    break
                if self._delimiter(block[found + 1 : end if end >= 0 else None]) is not None:
                    return start + found + 1
                found = block.find(b"\n--", end) if end >= 0 else -1
            if last:
                break
            # A line that the block cuts off is read again whole. A line of a whole block is no delimiter.
            start += found if found > 0 else len(block) - len(b"\n-")
        return self.file.seek(0, io.SEEK_END)

    def _newline_before(self, position: int) -> int:
        """The length of the line break before a delimiter, to which it belongs."""
        start = max(0, position - 2)
        self.file.seek(start)
        return _length_of_newline(self.file.read(position - start))

    def _delimiter(self, line: bytes) -> tuple[int, bool] | None:
        """Which of the multiparts around has this delimiter, and whether it is the closing one."""
        text = line.rstrip()
        opening = self._levels.get(text, -1)
        closing = self._levels.get(text[:-2], -1) if text.endswith(b"--") else -1
        if max(opening, closing) < 0:
            return None
        return max(opening, closing), closing > opening

    def _enter(self, level: int, closing: bool) -> None:  # noqa: FBT001 - what _delimiter found
        del self._open[level if closing else level + 1 :]
        self._note_levels()
        self._header, self._header_size = (None if closing else []), 0
        self._line_open = False

    def _note_levels(self) -> None:
        self._levels = {b"--" + boundary: level for level, (boundary, _) in enumerate(self._open)}

    def _header_line(self, line: bytes, position: int) -> None:
        assert self._header is not None  # noqa: S101 - asked by the caller
        blank = line in {b"\n", b"\r\n"} and not self._line_open
        self._header_size += len(line)
        if not blank and self._header_size <= MAX_HEADER:
            if not self._line_open and not line.startswith((b" ", b"\t")):
                self._field_left = MAX_FIELD
            self._line_open = not line.endswith(b"\n")
            self._header += self._kept(line)
            return
        self._begin(position + len(line) if blank else position)

    def _kept(self, line: bytes) -> list[bytes]:
        """What is left of a line within what is kept of its field."""
        left = self._field_left
        self._field_left -= len(line)
        if self._field_left >= 0:
            return [line]
        while left > 0 and line[left] & 0xC0 == 0x80:  # noqa: PLR2004 - within a character of UTF-8
            left -= 1
        return [line[:left], b"\r\n"] if left > 0 else []

    def _begin(self, start: int) -> None:
        """The header is over: what follows is content, or the parts of a multipart."""
        self._headers_left -= self._header_size
        if self._headers_left < 0:
            raise PartRejected(Rule.UNREADABLE)
        headers = _parsed(b"".join(self._header or ()))
        self._header = None
        if self._open and self._open[-1][1] == "digest":
            headers.set_default_type("message/rfc822")
        boundary = _boundary(headers) if headers.get_content_maintype() == "multipart" else None
        if boundary and len(self._open) < MAX_NESTING:
            self._multiparts += 1
            if self._multiparts > MAX_MULTIPARTS:
                raise PartRejected(Rule.TOO_MANY)
            self._open.append((boundary, headers.get_content_subtype()))
            self._note_levels()
            return
        self._current = (headers, start)

    def _end(self, position: int) -> Iterator[Entity]:
        if self._header:
            self._begin(position)  # a part that ends within its header has no content
        if self._current is not None:
            headers, start = self._current
            self._current = None
            self._count += 1
            if self._count > self.max_parts:
                raise PartRejected(Rule.TOO_MANY)
            yield Entity(headers=headers, start=start, end=max(start, position))


def _member(file: IO[bytes], entity: Entity) -> Member:
    content_id = _header(entity.headers, "content-id").strip().removeprefix("<").removesuffix(">")
    return Member(
        name=entity.name or _name_of_unnamed(file, entity),
        declared_type=entity.content_type,
        content_id=content_id or None,
        open=lambda: entity.content(file),
    )


def _name_of_unnamed(file: IO[bytes], entity: Entity) -> str:
    """An attached mail is named by its subject, as Graph does; anything else has no name."""
    if entity.content_type != "message/rfc822":
        return ""
    head = next(entity.content(file), b"").partition(b"\r\n\r\n")[0].partition(b"\n\n")[0]
    return f"{_decoded_words(_header(_parsed(head), 'subject')).strip()}.eml"


def _parsed(header: bytes) -> Headers:
    try:
        text = header.decode()
    except UnicodeDecodeError:
        text = header.decode("latin-1")
    return HeaderParser(policy=email.policy.compat32).parsestr(text.replace("\0", "\ufffd"), headersonly=True)


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return "" if value is None else _FOLDING.sub("", str(value))


def _boundary(headers: Headers) -> bytes | None:
    try:
        boundary = headers.get_boundary()
    except Exception:  # noqa: BLE001 - the library promises no kind of error for a parameter that is broken
        return None
    return None if boundary is None else boundary.encode("utf-8", "replace")


def _decoded_words(value: str) -> str:
    """RFC 2047 encoded words decoded, wherever they stand; what can't be decoded stays as written."""
    if "=?" not in value or len(value) > MAX_ENCODED:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError, MessageError):
        return value


def _length_of_newline(line: bytes) -> int:
    if line.endswith(b"\r\n"):
        return 2
    return 1 if line.endswith(b"\n") else 0


def _base64_decoded(encoded: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for block in encoded:
        digits = left + block.translate(None, _NOT_BASE64)
        whole = len(digits) - len(digits) % 4
        left = digits[whole:]
        yield binascii.a2b_base64(digits[:whole])
    if len(left) > 1:  # a single digit left over carries no byte
        yield binascii.a2b_base64(left + b"=" * (4 - len(left)))


def _quoted_printable_decoded(encoded: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for block in encoded:
        text = left + block
        cut = text.rfind(b"\n") + 1  # nothing spans a line break but the mark in front of it
        if cut == 0 and len(text) > BLOCK:
            cut = text.rfind(b"=", -_LENGTH_OF_ESCAPE + 1) if b"=" in text[-_LENGTH_OF_ESCAPE + 1 :] else len(text)
        yield binascii.a2b_qp(text[:cut])
        left = text[cut:]
    yield binascii.a2b_qp(left)
