"""Mails as files: the places of the parts of a MIME message (RFC 2045, 2046), and their content.

A general parser keeps every attachment in memory. Here one pass finds the delimiters, and content is decoded while it
is read. Only the shape that no mail has is refused; all else is read as mail programs read it.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, Final

from ingest.codes import Rule
from ingest.documents.headers.encoded_words import decode_bytes
from ingest.documents.headers.fields import MAX_HEADER, Headers, read_headers, subject
from ingest.documents.headers.parameters import Parametrised, parse_parameters
from ingest.documents.spool import BLOCK, read_range
from ingest.documents.unpacking import transfer_encodings
from ingest.documents.unpacking.bounded import readable
from ingest.documents.unpacking.container import Container, Member
from ingest.documents.unpacking.content_ids import shown_content_ids
from ingest.documents.unpacking.transfer_encodings import Embedded, find_embedded
from ingest.errors import PartRejected

MAX_HEADERS: Final = MAX_HEADER + 2 * 1024 * 1024  # bytes of all parts' headers
MAX_NESTING: Final = 50  # multiparts within multiparts
MAX_MULTIPARTS: Final = 1000
MAX_BLANK: Final = 1024  # bytes of a part that may be nothing but line breaks

_BLANK_LINE: Final = re.compile(rb"\n(?=\r?\n)")
_MISSES: Final = 100  # lines that only begin as a delimiter does, before a pattern is compiled that passes over them
_DISTINCT: Final = 32  # bytes of a boundary that a search compares; the rest of a longer one is compared afterwards
_FIELD: Final = re.compile(rb"^[!-9;-~]+[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n?", re.MULTILINE)
_MEDIA_TYPE: Final = re.compile(r"[^\s/;,()<>\"]+/[^\s/;,()<>\"]+")

# Forms of a mail's text besides plain text and HTML: AMP for Email, RFC 1896, RFC 1341, Apple Watch.
_TEXTS: Final = frozenset(
    {"text/plain", "text/html", "text/x-amp-html", "text/enriched", "text/richtext", "text/watch-html"}
)
# A rights-protected mail (Microsoft Purview) and the page in it that leads to the portal.
_PROTECTED: Final = re.compile(r"message(_v\d)?\.rpmsg", re.IGNORECASE)
_PORTAL_PAGE: Final = re.compile(r"message(_v\d)?\.html?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """A part that is no multipart: its headers, and the bounds of its encoded content in the file.

    `content_type` in lower case; a part without one, or with a broken one, is text/plain (RFC 2045, 5.2). `inside`: the
    subtypes of the multiparts around, the outermost first.
    """

    headers: Headers
    content_type: str
    start: int
    end: int
    name: str | None = field(default=None, repr=False)
    is_attachment: bool = False
    inside: tuple[str, ...] = ()

    @property
    def is_body(self) -> bool:
        """Return whether the part is (one form or piece of) the mail's text."""
        is_text = self.content_type in _TEXTS or self.content_type.startswith("multipart/")
        return is_text and not self.is_attachment and self.name is None

    @property
    def is_of_report(self) -> bool:
        """Return whether the part is the machine's half of a report, or the mail that it is about (RFC 6522, 3)."""
        is_message = self.content_type.startswith("message/") or self.content_type == "text/rfc822-headers"
        return "report" in self.inside and is_message

    def content(self, file: IO[bytes]) -> Iterator[bytes]:
        """Return the bytes without the transfer encoding. A broken encoding is read to where it breaks off."""
        encoding = self.headers.get("content-transfer-encoding") or ""
        return transfer_encodings.decode(encoding, read_range(file, self.start, self.end))


def open_mail(file: IO[bytes], *, max_parts: int) -> Container:
    """Open a mail with all that is attached to it. Raises PartRejected(too_many), PartRejected(unreadable)."""
    with readable():
        entities = walk(file, max_parts=max_parts)
        html = [entity for entity in entities if entity.is_body and entity.content_type == "text/html"]
        members = list(_members(file, entities, max_parts))
        if len(members) > max_parts:
            raise PartRejected(Rule.TOO_MANY)

        def shown() -> frozenset[str]:
            return frozenset().union(*(shown_content_ids(entity.content(file)) for entity in html))

        return Container(rule=Rule.ATTACHED_MAIL, members=_named(file, members), is_mail=True, shown=shown)


def find_body(file: IO[bytes], *, max_parts: int) -> Entity | None:
    """Return the body of a mail: its HTML form if there is one, else its text. Raises as `open_mail`."""
    with readable():
        bodies = [entity for entity in walk(file, max_parts=max_parts) if entity.is_body and entity.end > entity.start]
    html = (entity for entity in bodies if entity.content_type == "text/html")
    return next(html, bodies[0] if bodies else None)


def walk(file: IO[bytes], *, max_parts: int) -> list[Entity]:
    """Return every part that is no multipart, in the order of the mail. Raises as `open_mail`.

    A part without a blank line, a boundary that never closes, or no MIME at all are read. An attached message is one
    part; its own parts are not walked.
    """
    return list(_Walk(file, max_parts).entities())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stop:
    """The next line that matters. `level`: of the delimiter's multipart; None for a blank line, or the end."""

    position: int
    length: int = 0
    level: int | None = None
    closes: bool = False


@dataclass(slots=True)
class _Walk:
    """One pass over a file. `_open`: boundary and subtype of the multiparts around the position."""

    file: IO[bytes]
    max_parts: int
    _open: list[tuple[bytes, str]] = field(default_factory=list)
    _levels: dict[bytes, int] = field(default_factory=dict)  # delimiter → index in _open, of equal ones the innermost
    _count: int = 0
    _multiparts: int = 0
    _headers_left: int = MAX_HEADERS
    _misses: int = 0
    _delimiters: re.Pattern[bytes] | None = None  # compiled where a plain search is not enough

    def entities(self) -> Iterator[Entity]:
        start = self._first_line()
        while True:
            stop = self._next_stop(start, blanks=True)
            entity, begin = self._part(start, stop)
            if entity is None:
                stop = self._next_delimiter(begin)
            else:
                stop = self._next_delimiter(begin) if stop.level is None else stop
                yield self._counted(replace(entity, end=max(begin, stop.position - self._newline_before(stop))))
            while stop.level is not None and stop.closes:  # what follows is the epilogue, up to a delimiter outside
                self._close(stop.level)
                stop = self._next_delimiter(stop.position + stop.length)
            if stop.level is None:
                return
            self._close(stop.level + 1)
            start = stop.position + stop.length

    def _first_line(self) -> int:
        """Return the position of the first line that is not blank, behind a byte-order mark."""
        self.file.seek(0)
        head = self.file.read(BLOCK)
        begun = len(head) - len(head.lstrip(b" \t\r\n\f\v\xef\xbb\xbf"))
        return begun if begun < len(head) else 0

    def _next_delimiter(self, position: int) -> _Stop:
        if not self._open:
            return _Stop(position=self.file.seek(0, io.SEEK_END))
        return self._next_stop(position, blanks=False)

    def _next_stop(self, position: int, *, blanks: bool) -> _Stop:
        """Return the first line that matters from `position` on, where a line begins. Reads each byte about once.

        `blanks`: a blank line matters, too.
        """
        self.file.seek(position)
        block, base = b"\n" + self.file.read(BLOCK), position - 1
        while True:
            last = len(block) < BLOCK
            # A line that the block cuts off is read again whole; but a line of a whole block is no delimiter.
            passed = max(block.rfind(b"\n"), 0) or len(block)
            end = len(block) if last else passed + 1
            blank = _BLANK_LINE.search(block, 0, end) if blanks else None
            if blank is not None:
                end = blank.start() + 1
            begin = 0
            while (begin := self._find_delimiter(block, begin, end) + 1) > 0:
                if (stop := self._stop(base + begin, _line(block, begin))) is not None:
                    return stop
                self._misses += 1
            if blank is not None:
                return _Stop(position=base + end, length=len(_line(block, end)))
            if last:
                return _Stop(position=self.file.seek(0, io.SEEK_END))
            base += passed
            self.file.seek(base)
            block = self.file.read(BLOCK)

    def _find_delimiter(self, block: bytes, start: int, end: int) -> int:
        """Return the position of the line break before what begins as a delimiter does; -1 without one.

        One pattern for all open multiparts keeps the search linear, and passes over content that is made to look like
        delimiters. In a mail with one multipart, a plain search spares the compilation of the pattern.
        """
        if not self._open:
            return -1
        if len(self._open) == 1 and self._misses < _MISSES:
            return block.find(b"\n--" + self._open[0][0], start, end)
        if self._delimiters is None:
            alternatives = b"|".join(_delimiter(boundary) for boundary, _ in self._open)
            self._delimiters = re.compile(rb"\n--(?:%b)" % alternatives)
        match = self._delimiters.search(block, start, end)
        return -1 if match is None else match.start()

    def _stop(self, position: int, line: bytes) -> _Stop | None:
        text = line.rstrip()
        opening = self._levels.get(text, -1)
        closing = self._levels.get(text[:-2], -1) if text.endswith(b"--") else -1
        if max(opening, closing) < 0:
            return None
        return _Stop(position=position, length=len(line), level=max(opening, closing), closes=closing > opening)

    def _newline_before(self, stop: _Stop) -> int:
        """Return the length of the line break before a delimiter, to which it belongs."""
        if stop.level is None:
            return 0
        start = max(0, stop.position - 2)
        self.file.seek(start)
        before = self.file.read(stop.position - start)
        return 2 if before == b"\r\n" else int(before.endswith(b"\n"))

    def _part(self, start: int, stop: _Stop) -> tuple[Entity | None, int]:
        """Read the header from `start` to `stop`. Return the part, None for a multipart, and the content's position."""
        self.file.seek(start)
        block = self.file.read(min(stop.position - start, MAX_HEADER))
        self._headers_left -= len(block)
        if self._headers_left < 0:
            raise PartRejected(Rule.UNREADABLE)
        begin = stop.position + (stop.length if stop.level is None else 0)
        if (size := self._size_without_content(block, stop)) is not None:
            begin, block = start + size, block[:size]
        headers = Headers(block)
        declared = _parameters(headers, "content-type")
        content_type = declared.main if _MEDIA_TYPE.fullmatch(declared.main) else "text/plain"
        if "content-type" not in headers and self._open and self._open[-1][1] == "digest":
            content_type = "message/rfc822"  # RFC 2046, 5.1.5
        main, _, subtype = content_type.partition("/")
        boundary = (declared.octets("boundary") or b"").rstrip() if main == "multipart" else b""
        if boundary and len(self._open) < MAX_NESTING:
            self._enter(boundary, subtype)
            inside = block.find(b"\n--" + boundary)  # no blank line in front of the first delimiter
            return None, begin if inside < 0 else start + inside + 1
        disposition = _parameters(headers, "content-disposition")
        entity = Entity(
            headers=headers,
            content_type=content_type,
            start=begin,
            end=begin,
            name=_file_name(declared, disposition),
            is_attachment=disposition.main == "attachment" or bool(boundary),
            inside=tuple(subtype for _, subtype in self._open),
        )
        return entity, begin

    def _size_without_content(self, block: bytes, stop: _Stop) -> int | None:
        """Return the size of a header that has no blank line behind, or no field; None for all that are complete.

        A line that is no field belongs to the header if fields follow, or a blank line with content. Otherwise the
        content begins with the line.
        """
        if not block:
            return None
        if _FIELD.search(block) is None:
            return 0
        if stop.level is None and stop.length > 0 and not self._is_empty(stop):
            return None
        size = 0
        for match in _FIELD.finditer(block):
            size = match.end()
        return size if block[size:].strip() else None

    def _is_empty(self, blank: _Stop) -> bool:
        """Return whether nothing but line breaks stands between a blank line and the next delimiter."""
        begin = blank.position + blank.length
        self.file.seek(begin)
        head = self.file.read(MAX_BLANK)
        text = head.lstrip()
        if text.startswith(b"--"):
            return self._stop(begin, text.partition(b"\n")[0]) is not None
        return not text and len(head) < MAX_BLANK

    def _enter(self, boundary: bytes, subtype: str) -> None:
        self._multiparts += 1
        if self._multiparts > MAX_MULTIPARTS:
            raise PartRejected(Rule.TOO_MANY)
        self._open.append((boundary, subtype))
        self._note_levels()

    def _close(self, level: int) -> None:
        del self._open[level:]
        self._note_levels()

    def _note_levels(self) -> None:
        """Note the delimiters of the open multiparts."""
        self._levels = {b"--" + boundary: level for level, (boundary, _) in enumerate(self._open)}
        self._delimiters = None

    def _counted(self, entity: Entity) -> Entity:
        self._count += 1
        if self._count > self.max_parts:
            raise PartRejected(Rule.TOO_MANY)
        return entity


def _line(block: bytes, begin: int) -> bytes:
    end = block.find(b"\n", begin)
    return block[begin : end + 1 if end >= 0 else None]


def _delimiter(boundary: bytes) -> bytes:
    """Return a pattern for a boundary in its line, or for the beginning of a long one."""
    if len(boundary) > _DISTINCT:
        return re.escape(boundary[:_DISTINCT])
    return re.escape(boundary) + rb"(?:--)?[ \t\r\f\v]*+(?=\n|\Z)"


def _parameters(headers: Headers, name: str) -> Parametrised:
    return parse_parameters(next(headers.raw(name), b""))


def _file_name(declared: Parametrised, disposition: Parametrised) -> str | None:
    """Return the name as the sender wrote it; None for a part without one."""
    name = disposition.text("filename")
    return declared.text("name") if name is None else name


def _members(file: IO[bytes], entities: Iterable[Entity], max_parts: int) -> Iterator[Member]:
    """Return the files among the parts, and those that stand in a text (uuencode, yEnc)."""
    entities = list(entities)
    protected = any(_PROTECTED.fullmatch(entity.name or "") for entity in entities)
    for entity in entities:
        if not entity.is_body:
            yield _member(file, entity, is_portal=protected and bool(_PORTAL_PAGE.fullmatch(entity.name or "")))
        elif entity.content_type == "text/plain":
            for embedded in find_embedded(entity.content(file), at_most=max_parts):
                yield Member(
                    name=decode_bytes(embedded.name.strip().strip(b'"')),
                    open=partial(_embedded_content, file, entity, embedded),
                )


def _member(file: IO[bytes], entity: Entity, *, is_portal: bool) -> Member:
    content_id = (entity.headers.get("content-id") or "").strip().removeprefix("<").removesuffix(">")
    return Member(
        name=entity.name if entity.name and entity.name.strip() else "",
        declared_type=entity.content_type,
        content_id=content_id or None,
        is_text=is_portal or entity.is_of_report,
        open=partial(entity.content, file),
    )


def _embedded_content(file: IO[bytes], entity: Entity, embedded: Embedded) -> Iterator[bytes]:
    """Return a file that stands in the text of `entity`. The text is decoded once more, up to the file."""
    left = embedded.start

    def rest() -> Iterator[bytes]:
        nonlocal left
        for block in entity.content(file):
            if left < len(block):
                yield block[left:]
            left = max(0, left - len(block))

    return embedded.decode(rest())


def _named(file: IO[bytes], members: Iterable[Member]) -> tuple[Member, ...]:
    """Name the members without a name: a mail by its subject, as Graph does, any other file by that of this mail.

    The sorter adds the extension, which follows from the content.
    """
    title = itertools.chain([_title(read_headers(read_range(file, 0, MAX_HEADER)))], itertools.repeat(""))
    return tuple(
        member
        if member.name
        else replace(
            member,
            name=_title(read_headers(member.open())) if member.declared_type == "message/rfc822" else next(title),
            lacks_extension=True,
        )
        for member in members
    )


def _title(headers: Headers) -> str:
    return " ".join(subject(headers).split())
