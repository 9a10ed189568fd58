"""Signed content: the place of the signed bytes in a CMS message (smime.p7m, invoice.xml.p7m).

Libraries for CMS hold the content in memory several times over. The outermost BER headers are enough to find the
content. The signature stays in the original and is not verified here.

https://www.rfc-editor.org/rfc/rfc5652#section-5.1
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from ingest.codes import Rule
from ingest.documents.spool import read_range
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import PartRejected

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_ENCRYPTED = frozenset(
    bytes.fromhex(oid)
    for oid in (
        "2a864886f70d010703",  # enveloped-data
        "2a864886f70d010706",  # encrypted-data
        "2a864886f70d0109100117",  # auth-enveloped-data
    )
)
_INTEGER, _OCTET_STRING, _OID, _SEQUENCE, _SET, _EXPLICIT_0 = 0x02, 0x04, 0x06, 0x30, 0x31, 0xA0
_CONSTRUCTED = 0x20
_LONGEST_OID = 64  # bytes
_MAX_NESTING = 16
_MAX_LENGTH = 1 << 40  # bytes; a larger length is false
_MAX_ELEMENTS = 1000  # within one element that is skipped; an honest one has a few digest algorithms
_FREE_PIECES = 1000  # of any content
_SMALLEST_PIECE = 256  # bytes on average, beyond those: programs sign streams in pieces of 1,000 bytes and more


class CmsKind(StrEnum):
    """The kind of a CMS message."""

    SIGNED = "signed"  # opaque: contains the signed content
    SIGNATURE = "signature"  # detached: without the content
    ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    start: int  # of the content
    end: int | None  # None: up to an end-of-contents mark


def kind_of(file: IO[bytes]) -> CmsKind | None:
    """Return the kind of the CMS message in `file`; None if the file is none."""
    try:
        info = _expect(file, 0, _SEQUENCE)
        content_type = _oid(file, info.start)
        if content_type in _ENCRYPTED:
            return CmsKind.ENCRYPTED
        if content_type != _SIGNED_DATA:
            return None
        return CmsKind.SIGNED if _signed_content(file) is not None else CmsKind.SIGNATURE
    except PartRejected:
        return None


def open_signed(file: IO[bytes], name: str) -> Container:
    """Return a container with the signed content as its one member. Raises PartRejected(unreadable).

    The content has no name of its own: the member's name is `name`, the container's, without .p7m.
    """
    content = _signed_content(file)
    if content is None:
        raise PartRejected(Rule.UNREADABLE)
    inner = re.sub(r"\.p7[ms]\Z", "", name, flags=re.IGNORECASE)
    is_mail = "." not in inner
    member = Member(
        name=f"{inner}.eml" if is_mail else inner,
        declared_type="message/rfc822" if is_mail else None,
        open=lambda: _octets(file, content),
    )
    return Container(rule=Rule.SIGNED_MAIL, members=(member,), is_mail=True)


def _signed_content(file: IO[bytes]) -> _Element | None:
    """Return eContent of ContentInfo → SignedData → EncapsulatedContentInfo; None for a detached signature."""
    info = _expect(file, 0, _SEQUENCE)
    if _oid(file, info.start) != _SIGNED_DATA:
        raise PartRejected(Rule.UNREADABLE)
    explicit = _expect(file, _after(file, _element(file, info.start)), _EXPLICIT_0)
    signed_data = _expect(file, explicit.start, _SEQUENCE)
    version = _expect(file, signed_data.start, _INTEGER)
    digest_algorithms = _expect(file, _after(file, version), _SET)
    encapsulated = _expect(file, _after(file, digest_algorithms), _SEQUENCE)
    position = _after(file, _expect(file, encapsulated.start, _OID))
    if encapsulated.end is not None and position >= encapsulated.end:
        return None
    content = _element(file, position)
    if content.tag != _EXPLICIT_0:
        return None
    octets = _element(file, content.start)
    if octets.tag & ~_CONSTRUCTED != _OCTET_STRING:
        raise PartRejected(Rule.UNREADABLE)
    return octets


def _octets(file: IO[bytes], element: _Element) -> Iterator[bytes]:
    """Yield the bytes of an octet string, which BER may cut into pieces of pieces. Each header is read once."""
    if not element.tag & _CONSTRUCTED:
        yield from read_range(file, element.start, _end(element))
        return
    for piece in _descendants(file, element):
        if piece.tag & ~_CONSTRUCTED != _OCTET_STRING:
            raise PartRejected(Rule.UNREADABLE)
        if not piece.tag & _CONSTRUCTED:
            yield from read_range(file, piece.start, _end(piece))


def _descendants(file: IO[bytes], element: _Element) -> Iterator[_Element]:
    """Yield the elements inside a constructed octet string at any depth, in the order of the file."""
    around = [element]
    position = element.start
    for _ in range(_FREE_PIECES + file.seek(0, io.SEEK_END) // _SMALLEST_PIECE):
        while around and position == around[-1].end:
            around.pop()
        if not around:
            return
        child = _element(file, position)
        if child.tag == 0 and around[-1].end is None:
            around.pop()
            position = _end(child)
            continue
        yield child
        if child.tag & _CONSTRUCTED:
            around.append(child)
            position = child.start
        else:
            position = _end(child)
        if len(around) > _MAX_NESTING or (around[-1].end is not None and position > _end(around[-1])):
            raise PartRejected(Rule.UNREADABLE)
    raise PartRejected(Rule.UNREADABLE)


def _after(file: IO[bytes], element: _Element) -> int:
    """Return the position behind an element."""
    if element.end is not None:
        return element.end
    position, depth = element.start, 1  # of the elements without a length around the position
    for _ in range(_MAX_ELEMENTS):
        child = _element(file, position)
        position = child.start if child.end is None else child.end
        if child.tag == 0:
            depth -= 1
        elif child.end is None:
            depth += 1
        if depth == 0:
            return position
    raise PartRejected(Rule.UNREADABLE)


def _expect(file: IO[bytes], position: int, tag: int) -> _Element:
    element = _element(file, position)
    if element.tag != tag:
        raise PartRejected(Rule.UNREADABLE)
    return element


def _oid(file: IO[bytes], position: int) -> bytes:
    element = _expect(file, position, _OID)
    file.seek(element.start)
    return file.read(min(_LONGEST_OID, _end(element) - element.start))


def _element(file: IO[bytes], position: int) -> _Element:
    file.seek(position)
    head = file.read(2)
    if len(head) < 2:  # noqa: PLR2004 - a tag and a length
        raise PartRejected(Rule.UNREADABLE)
    tag, length = head
    start = position + 2
    if length == 0x80:  # noqa: PLR2004 - indefinite form
        if not tag & _CONSTRUCTED:
            raise PartRejected(Rule.UNREADABLE)
        return _Element(tag, start, None)
    if length & 0x80:
        count = length & 0x7F
        digits = file.read(count)
        if count > 8 or len(digits) < count:  # noqa: PLR2004 - lengths of more than 64 bits mean nothing
            raise PartRejected(Rule.UNREADABLE)
        start += count
        length = int.from_bytes(digits)
    if length > _MAX_LENGTH:
        raise PartRejected(Rule.UNREADABLE)
    return _Element(tag, start, start + length)


def _end(element: _Element) -> int:
    if element.end is None:
        raise PartRejected(Rule.UNREADABLE)
    return element.end
