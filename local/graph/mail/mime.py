"""MIME → what Exchange makes of it: recipients, body, attachments.

The reader works on offsets into the file and decodes attachments block by block. A general parser would need
minutes, and as much memory as the mail has bytes, for a mail of 150 MB. Hostile input is the normal case: nothing here
raises on a mail, however broken; what can't be read is taken as text.
"""

import binascii
import contextlib
import mmap
import quopri
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as Headers
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from mimetypes import guess_extension
from pathlib import Path
from typing import Literal

from local.graph.mail.content import Content, ContentWriter, Patch, save
from local.graph.mail.headers import Address, decode_words, read_addresses
from local.graph.mail.html import preview

type Buffer = bytes | mmap.mmap

_DECODE_BLOCK = 1 << 20
_WINDOW = 1 << 22
_MAX_DEPTH = 30
_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_FOLDING = re.compile(r"\r?\n(?=[ \t])")
_IN_MEMORY = 1 << 20
# report-type → the last word of the message class. MS-OXCMAIL, section 2.2.3.1.
_REPORTS = {"delivery-status": "NDR", "disposition-notification": "IPNRN"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedAttachment:
    """`content` is None for a reference attachment, which is only a link."""

    kind: Literal["file", "item", "reference"]
    name: str
    content_type: str | None
    is_inline: bool
    content_id: str | None
    content: Content | None

    @property
    def size(self) -> int:
        """The size that Exchange reports: that of the stored object, a little more than its bytes."""
        return (self.content.length if self.content else 0) + 128 + 2 * len(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundary:
    """A MIME boundary and each place where it stands: in the header of its multipart and in the delimiter lines."""

    text: bytes
    offsets: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedMail:
    """A mail as Exchange stores it. `body_type` is `html` or `text`; `headers` in the order of the mail.

    `message_class` is Exchange's: `IPM.Note`, `IPM.Note.SMIME` (opaque-signed or encrypted),
    `IPM.Note.SMIME.MultipartSigned`, or one of a report, `REPORT.IPM.Note…`. `boundaries` are those that
    Exchange may write anew; none below `multipart/signed` nor in attached mails.
    """

    subject: str
    sender: Address | None
    from_: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    message_id: str | None
    sent: datetime | None
    importance: Literal["low", "normal", "high"]
    read_receipt: bool
    thread: str
    headers: tuple[tuple[str, str], ...]
    body_type: Literal["html", "text"]
    body: str
    preview: str
    attachments: tuple[ParsedAttachment, ...]
    message_class: str
    boundaries: tuple[Boundary, ...]


def parse(path: Path, *, attachments_at: Path) -> ParsedMail:
    """Read the mail at `path`; decoded attachments become files `<attachments_at>.<number>`."""
    with path.open("rb") as file, contextlib.ExitStack() as stack:
        size = path.stat().st_size
        data: Buffer
        if size <= _IN_MEMORY:
            data = file.read()
        else:
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _Reader(data, attachments_at).read()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """A part: its header begins at `head`, its body lies from `start` to `end`."""

    headers: Headers
    head: int
    start: int
    end: int

    @property
    def content_type(self) -> str:
        return self.headers.get_content_type()

    @property
    def disposition(self) -> str:
        return (self.headers.get_content_disposition() or "").lower()

    @property
    def filename(self) -> str | None:
        name = self.parameter("filename", of="content-disposition")
        name = self.parameter("name") if name is None else name
        return None if name is None else decode_words(name)

    def parameter(self, name: str, *, of: str = "content-type") -> str | None:
        """Read a parameter of a header field (RFC 2231); None where it is missing or can't be read."""
        try:
            value = self.headers.get_param(name, None, of)
            return None if value is None else collapse_rfc2231_value(value)
        except (TypeError, ValueError):  # numbered and unnumbered pieces of one name; a null in the name of a charset
            return None

    @property
    def content_id(self) -> str | None:
        value = _text(self.headers, "content-id").strip()
        return value.removeprefix("<").removesuffix(">") or None

    @property
    def encoding(self) -> str:
        return _text(self.headers, "content-transfer-encoding").strip().lower()


@dataclass(slots=True)
class _Reader:
    data: Buffer
    attachments_at: Path
    html: str | None = None
    text: str | None = None
    attachments: list[ParsedAttachment] = field(default_factory=list)
    boundaries: list[Boundary] = field(default_factory=list)

    def read(self) -> ParsedMail:
        top = self._part(0, len(self.data), default_type="text/plain", top=True)
        self._visit(top, related=False, alternative=False, depth=0)
        headers = top.headers
        body = self.html if self.html is not None else (self.text or "")
        from_ = _addresses(headers, "from")
        sender = _addresses(headers, "sender")
        message_id = _text(headers, "message-id").strip() or None
        references = _text(headers, "references").split() or _text(headers, "in-reply-to").split()
        return ParsedMail(
            subject=decode_words(_text(headers, "subject")),
            from_=from_[0] if from_ else None,
            sender=sender[0] if sender else (from_[0] if from_ else None),
            to=_addresses(headers, "to"),
            cc=_addresses(headers, "cc"),
            reply_to=_addresses(headers, "reply-to"),
            message_id=message_id,
            sent=_date(_text(headers, "date")),
            importance=_importance(headers),
            read_receipt=bool(_text(headers, "disposition-notification-to")),
            thread=references[0] if references else (message_id or ""),
            headers=tuple((name, _unfold(str(value))) for name, value in headers.raw_items()),
            body_type="text" if self.html is None else "html",
            body=body,
            preview=preview(body, is_html=self.html is not None),
            attachments=tuple(self.attachments),
            message_class=self._message_class(top),
            boundaries=tuple(self.boundaries),
        )

    def _message_class(self, top: _Part) -> str:
        kind = top.content_type
        if _is_opaque(top):
            return "IPM.Note.SMIME"
        if kind == "multipart/signed" and "pkcs7-signature" in (top.parameter("protocol") or "").lower():
            return "IPM.Note.SMIME.MultipartSigned"
        report = _REPORTS.get((top.parameter("report-type") or "").lower())
        if kind != "multipart/report" or report is None:
            return "IPM.Note"
        returned = (self._part(child.start, child.end, default_type="text/plain") for child in self._children(top))
        return f"REPORT.IPM.Note.SMIME.{report}" if any(map(_is_opaque, returned)) else f"REPORT.IPM.Note.{report}"

    def _part(self, start: int, end: int, *, default_type: str, top: bool = False) -> _Part:
        """Split headers from body; a top-level part that does not begin with a header is all body."""
        if top and not _HEADER_LINE.match(bytes(self.data[start : min(end, start + 1000)])):
            return _Part(headers=Headers(), head=start, start=start, end=end)
        body = end
        header_end = end
        if bytes(self.data[start : start + 2]) == b"\r\n" or bytes(self.data[start : start + 1]) == b"\n":
            header_end = start
            body = start + (2 if bytes(self.data[start : start + 1]) == b"\r" else 1)
        else:
            for separator in (b"\r\n\r\n", b"\n\n"):
                # Up to the end found so far only: a body of 150 MB need not be searched for a header.
                found = self.data.find(separator, start, min(end, body))
                if found >= 0 and found < header_end:
                    header_end, body = found, found + len(separator)
        raw = bytes(self.data[start:header_end])
        try:
            header_text = raw.decode()
        except UnicodeDecodeError:
            header_text = raw.decode("latin-1")
        headers = HeaderParser().parsestr(header_text, headersonly=True)
        headers.set_default_type(default_type)
        return _Part(headers=headers, head=start, start=body, end=end)

    def _visit(self, part: _Part, *, related: bool, alternative: bool, depth: int, signed: bool = False) -> None:
        kind = part.content_type
        if kind.startswith("multipart/") and depth < _MAX_DEPTH:
            signed = signed or kind == "multipart/signed"
            children = self._children(part, into=None if signed else self.boundaries)
            if children:
                for index, child in enumerate(children):
                    self._visit(
                        child,
                        # The root of a multipart/related is its body, not one of the related parts.
                        related=(kind == "multipart/related" and index > 0) or related,
                        alternative=kind == "multipart/alternative" or (alternative and index == 0),
                        depth=depth + 1,
                        signed=signed,
                    )
                return
        if self._is_body(part, alternative=alternative):
            return
        if alternative and kind == "text/calendar":
            return
        self._attach(part, related=related)

    def _is_body(self, part: _Part, *, alternative: bool) -> bool:
        """Take the part as (one form of) the body where Exchange would."""
        kind = part.content_type
        readable = kind.startswith("multipart/") or kind in {"text/plain", "text/html"}
        if not readable or part.disposition == "attachment" or part.filename is not None:
            return False
        has_body = self.html is not None or self.text is not None
        if kind == "text/html" and self.html is None and (alternative or not has_body):
            self.html = self._decoded_text(part)
        elif kind != "text/html" and self.text is None and (alternative or not has_body):
            self.text = self._decoded_text(part)
        else:
            return False
        return True

    def _decoded_text(self, part: _Part) -> str:
        data = b"".join(self._decoded(part))
        charset = part.parameter("charset") or "utf-8"
        try:
            return data.decode(charset)
        except (LookupError, ValueError):  # an unknown charset, or bytes or a name that no charset has
            return data.decode("latin-1")

    def _attach(self, part: _Part, *, related: bool) -> None:
        number = len(self.attachments)
        target = self.attachments_at.with_name(f"{self.attachments_at.name}.{number}")
        disposition, name, content_id = part.disposition, part.filename, part.content_id
        if part.content_type == "message/rfc822":
            content = self._write(part, target)
            nested = self._part(part.start, part.end, default_type="text/plain", top=True)
            subject = decode_words(_text(nested.headers, "subject"))
            title = subject or re.sub(r"\.eml\Z", "", name or "", flags=re.IGNORECASE)
            self.attachments.append(
                ParsedAttachment(
                    kind="item",
                    name=title,
                    content_type=None,
                    is_inline=False,
                    content_id=None,
                    content=content,
                )
            )
            return
        if name is None and _is_opaque(part):
            name = "smime.p7m"  # MS-OXOSMIME, section 2.1.3.1
        if name is None:
            extension = {"text/plain": ".txt", "text/html": ".htm"}.get(part.content_type)
            name = f"ATT{number + 1:05}{extension or guess_extension(part.content_type) or '.bin'}"
        self.attachments.append(
            ParsedAttachment(
                kind="file",
                name=name,
                content_type=part.content_type,
                # Exchange believes the sender: a logo marked attachment is one, an inline PDF is inline.
                is_inline=disposition == "inline" or (not disposition and related and content_id is not None),
                content_id=content_id,
                content=self._write(part, target),
            )
        )

    def _write(self, part: _Part, target: Path) -> Content:
        writer = ContentWriter(target)
        for block in self._decoded(part):
            writer.write(block)
        return writer.close()

    def _decoded(self, part: _Part) -> Iterator[bytes]:
        """Yield the part's body without its transfer encoding, in blocks."""
        if part.encoding == "base64":
            yield from self._decoded_base64(part.start, part.end)
        elif part.encoding == "quoted-printable":
            yield quopri.decodestring(bytes(self.data[part.start : part.end]))
        else:
            for start in range(part.start, part.end, _DECODE_BLOCK):
                yield bytes(self.data[start : min(start + _DECODE_BLOCK, part.end)])

    def _decoded_base64(self, start: int, end: int) -> Iterator[bytes]:
        left = b""
        for block_start in range(start, end, _DECODE_BLOCK):
            block = left + bytes(self.data[block_start : min(block_start + _DECODE_BLOCK, end)]).translate(
                None, _NOT_BASE64
            )
            whole = len(block) - len(block) % 4
            left = block[whole:]
            yield binascii.a2b_base64(block[:whole])
        if len(left) > 1:  # a single character left over carries no byte
            yield binascii.a2b_base64(left + b"=" * (4 - len(left)))

    def _children(self, part: _Part, *, into: list[Boundary] | None = None) -> Sequence[_Part]:
        """Return the parts of a multipart; its boundary with all places is added to `into`."""
        boundary = (part.parameter("boundary") or "").rstrip()
        if not boundary:
            return ()
        default_type = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        text = boundary.encode("utf-8", "replace")
        delimiters: list[int] = []
        parts = [
            self._part(start, end, default_type=default_type)
            for start, end in self._between(b"--" + text, part.start, part.end, delimiters)
        ]
        header = bytes(self.data[part.head : part.start])
        declared = header.find(text, header.lower().find(b"boundary") + len(b"boundary"))
        if into is not None and declared >= 0:
            places = (part.head + declared, *(position + len(b"--") for position in delimiters))
            into.append(Boundary(text=text, offsets=places))
        return parts

    def _between(self, delimiter: bytes, start: int, end: int, delimiters: list[int]) -> Iterator[tuple[int, int]]:
        """Yield begin and end of each part between delimiter lines; the last one may lack its closing delimiter.

        The offset of each delimiter line is added to `delimiters`.
        """
        begin: int | None = None
        position = start
        while (position := self._find(delimiter, position, end)) >= 0:
            line_end = self.data.find(b"\n", position, end)
            line_end = end if line_end < 0 else line_end + 1
            rest = bytes(self.data[position + len(delimiter) : min(line_end, position + len(delimiter) + 200)])
            at_line_start = position == start or bytes(self.data[position - 1 : position]) == b"\n"
            if not at_line_start or rest.strip() not in {b"", b"--"}:
                position += len(delimiter)
                continue
            delimiters.append(position)
            if begin is not None:
                yield begin, max(begin, self._before_newline(position))
            if rest.startswith(b"--"):
                return
            begin = position = line_end
        if begin is not None:
            yield begin, end

    def _find(self, wanted: bytes, start: int, end: int) -> int:
        """Search window by window: one search through 150 MB would hold up every other thread meanwhile."""
        for window in range(start, end, _WINDOW):
            found = self.data.find(wanted, window, min(end, window + _WINDOW + len(wanted) - 1))
            if found >= 0:
                return found
        return -1

    def _before_newline(self, position: int) -> int:
        """Step back over the line break before a delimiter: it belongs to the delimiter."""
        return position - 2 if bytes(self.data[position - 2 : position - 1]) == b"\r" else position - 1


def reference(*, name: str) -> ParsedAttachment:
    """Make a link to a file in OneDrive; no MIME can bring one."""
    return ParsedAttachment(
        kind="reference", name=name, content_type=None, is_inline=False, content_id=None, content=None
    )


def new_boundaries(boundaries: Sequence[Boundary]) -> tuple[Patch, ...]:
    """Replace each boundary by a new one, as Exchange does when it makes the MIME of a message."""
    patches = []
    for boundary in boundaries:
        replacement = f"_{secrets.randbelow(1000):03}_{secrets.token_hex(secrets.choice((12, 16)))}_".encode()
        patches += [Patch(offset=at, length=len(boundary.text), replacement=replacement) for at in boundary.offsets]
    return tuple(sorted(patches, key=lambda patch: patch.offset))


def store_and_parse(raw: bytes | Content, *, at: Path) -> tuple[Content, ParsedMail]:
    """Put the mail on disk (where it is not yet) and read it; blocking, so large mails go to a thread."""
    mime = save(at.with_name(at.name + ".eml"), raw) if isinstance(raw, bytes) else raw
    return mime, parse(mime.path, attachments_at=at)


def _is_opaque(part: _Part) -> bool:
    """Return True where S/MIME hides the content of the part.

    MS-OXOSMIME, section 2.1: `application/octet-stream` counts by the extension of its name.
    """
    if part.content_type == "application/octet-stream":
        return (part.filename or "").lower().endswith(".p7m")
    return part.content_type in {"application/pkcs7-mime", "application/x-pkcs7-mime"}


def _text(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return "" if value is None else _unfold(str(value))


def _unfold(value: str) -> str:
    return _FOLDING.sub("", value).strip("\r\n")


def _addresses(headers: Headers, name: str) -> tuple[Address, ...]:
    return tuple(found for value in headers.get_all(name, []) for found in read_addresses(_unfold(str(value))))


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def _importance(headers: Headers) -> Literal["low", "normal", "high"]:
    importance = _text(headers, "importance").strip().lower()
    priority = _text(headers, "x-priority").strip()[:1]
    if importance == "high" or priority in {"1", "2"}:
        return "high"
    if importance == "low" or priority in {"4", "5"}:
        return "low"
    return "normal"
