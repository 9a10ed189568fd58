"""winmail.dat: the one attachment in which Outlook packs all attachments of a mail (TNEF).

The public libraries for TNEF are unmaintained and take the whole file into memory. The format is a flat list of
attributes; this reader notes their places only.

https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxtnef
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from ingest.codes import Rule
from ingest.documents.spool import read_range
from ingest.documents.unpacking.container import Container, Member
from ingest.documents.unpacking.content_ids import shown_content_ids
from ingest.errors import PartRejected

SIGNATURE = bytes.fromhex("789f3e22")
_HEADER = struct.Struct("<BII")  # level, id, length of the data; a checksum of 2 bytes follows the data
_CHECKSUM = 2
_LEVELS = frozenset({1, 2})  # of the message, and of an attachment

_SUBJECT = 0x00018004
_MESSAGE_PROPERTIES = 0x00069003
_ATTACHMENT_BEGINS = 0x00069002
_ATTACHMENT_TITLE = 0x00018010
_ATTACHMENT_DATA = 0x0006800F
_ATTACHMENT_PROPERTIES = 0x00069005

# MAPI properties (https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxprops)
_DISPLAY_NAME, _FILE_NAME, _LONG_FILE_NAME = 0x3001, 0x3704, 0x3707
_DATA, _MIME_TAG, _CONTENT_ID, _BODY_HTML = 0x3701, 0x370E, 0x3712, 0x1013
_NAMED = 0x8000
_MULTIPLE = 0x1000
_STRING8, _UNICODE, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_FIXED_SIZES = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_EMBEDDED_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")  # IID_IMessage

_MAX_ATTRIBUTES = 100_000  # of one message
_MAX_PROPERTIES = 10_000  # of one object
_MAX_VALUES = 100_000  # of all properties in the file
_MAX_TEXT = 4096  # bytes of a name
_MAX_NESTING = 16  # messages in messages


@dataclass(frozen=True, slots=True)
class _Range:
    start: int
    end: int


@dataclass(slots=True)
class _Attachment:
    title: str = ""
    data: _Range | None = None
    properties: dict[int, tuple[int, _Range]] = field(default_factory=dict)  # id → type and value


def open_tnef(file: IO[bytes], *, max_parts: int) -> Container:
    """Return the attachments. Raises PartRejected(too_many), PartRejected(unreadable)."""
    try:
        return _Reader(file, max_parts).message(_Range(0, file.seek(0, io.SEEK_END)), 0)
    except (struct.error, OverflowError, ValueError):
        raise PartRejected(Rule.UNREADABLE) from None


@dataclass(slots=True)
class _Reader:
    file: IO[bytes]
    max_parts: int
    count: int = 0
    subject: str = ""
    values: int = 0

    def message(self, within: _Range, nesting: int) -> Container:
        if nesting > _MAX_NESTING or self._bytes(within.start, 4) != SIGNATURE:
            raise PartRejected(Rule.UNREADABLE)
        attachments: list[_Attachment] = []
        html: list[_Range] = []
        for attribute, data in self._attributes(within):
            if attribute == _ATTACHMENT_BEGINS:
                self.count += 1
                if self.count > self.max_parts:
                    raise PartRejected(Rule.TOO_MANY)
                attachments.append(_Attachment())
            elif attribute == _SUBJECT:
                self.subject = self._text(data, _STRING8)
            elif attribute == _MESSAGE_PROPERTIES:
                html += [value for key, _, value in self._properties(data) if key == _BODY_HTML]
            elif attachments:
                self._of_attachment(attachments[-1], attribute, data)
        return Container(
            rule=Rule.WINMAIL_DAT,
            members=tuple(self._member(attachment, nesting) for attachment in attachments),
            is_mail=True,
            shown=lambda: frozenset().union(
                *(shown_content_ids(read_range(self.file, body.start, body.end)) for body in html)
            ),
        )

    def _of_attachment(self, attachment: _Attachment, attribute: int, data: _Range) -> None:
        if attribute == _ATTACHMENT_TITLE:
            attachment.title = self._text(data, _STRING8)
        elif attribute == _ATTACHMENT_DATA:
            attachment.data = data
        elif attribute == _ATTACHMENT_PROPERTIES:
            attachment.properties = {key: (kind, value) for key, kind, value in self._properties(data)}

    def _member(self, attachment: _Attachment, nesting: int) -> Member:
        texts = {key: self._text(value, kind) for key, (kind, value) in attachment.properties.items() if key != _DATA}
        name = texts.get(_LONG_FILE_NAME) or attachment.title or texts.get(_FILE_NAME) or texts.get(_DISPLAY_NAME, "")
        kind, value = attachment.properties.get(_DATA, (_BINARY, None))
        embedded: Container | None = None
        content = attachment.data
        if value is not None and kind == _OBJECT:
            if self._bytes(value.start, 16) == _EMBEDDED_MESSAGE:
                embedded = self.message(_Range(value.start + 16, value.end), nesting + 1)
            else:
                content = content or _Range(value.start + 16, value.end)
        elif value is not None:
            content = content or value
        found = content or _Range(0, 0)
        return Member(
            name=name,
            declared_type=texts.get(_MIME_TAG) or None,
            content_id=texts.get(_CONTENT_ID, "").strip("<>") or None,
            size=None if embedded else found.end - found.start,
            open=lambda: read_range(self.file, found.start, found.end),
            embedded=embedded,
        )

    def _attributes(self, within: _Range) -> Iterator[tuple[int, _Range]]:
        position = within.start + 6  # behind signature and key
        for _ in range(_MAX_ATTRIBUTES):
            if position + _HEADER.size > within.end:
                return
            level, attribute, length = _HEADER.unpack(self._bytes(position, _HEADER.size))
            if level not in _LEVELS:
                return  # rubbish behind the last attribute, as some programs leave it
            start = position + _HEADER.size
            if start + length > within.end:
                raise PartRejected(Rule.UNREADABLE)
            yield attribute, _Range(start, start + length)
            position = start + length + _CHECKSUM
        raise PartRejected(Rule.UNREADABLE)

    def _properties(self, within: _Range) -> list[tuple[int, int, _Range]]:
        """Return id, type and place of each MAPI property with a value; the first one of several values."""
        found: list[tuple[int, int, _Range]] = []
        position = within.start + 4
        for _ in range(self._number(within.start, _MAX_PROPERTIES)):
            kind, key = struct.unpack("<HH", self._bytes(position, 4))
            position += 4
            if key >= _NAMED:
                position = self._after_name(position)
            multiple, kind = kind & _MULTIPLE, kind & ~_MULTIPLE
            if kind in _FIXED_SIZES:
                size = _FIXED_SIZES[kind]
                position += 4 + size * self._number(position, _MAX_VALUES) if multiple else size
                continue
            if kind not in {_STRING8, _UNICODE, _OBJECT, _BINARY}:
                raise PartRejected(Rule.UNREADABLE)
            values = self._number(position, _MAX_VALUES - self.values)
            self.values += values
            position += 4
            for index in range(values):
                length = self._number(position, within.end - position)
                if index == 0:
                    found.append((key, kind, _Range(position + 4, position + 4 + length)))
                position += 4 + length + -length % 4
                if position > within.end + 3:
                    raise PartRejected(Rule.UNREADABLE)
        return found

    def _after_name(self, position: int) -> int:
        """Return the position behind the name of a named property: a GUID, and a number or a string."""
        if self._number(position + 16, 1) == 0:
            return position + 24
        length = self._number(position + 20, _MAX_TEXT)
        return position + 24 + length + -length % 4

    def _number(self, position: int, at_most: int) -> int:
        number = int.from_bytes(self._bytes(position, 4), "little")
        if number > at_most:
            raise PartRejected(Rule.UNREADABLE)
        return number

    def _text(self, value: _Range, kind: int) -> str:
        data = self._bytes(value.start, min(value.end - value.start, _MAX_TEXT))
        # A property elsewhere names the code page of String8. Western versions of Outlook write cp1252.
        text = data.decode("utf-16-le" if kind == _UNICODE else "cp1252", "replace")
        return text.partition("\0")[0]

    def _bytes(self, position: int, length: int) -> bytes:
        self.file.seek(position)
        data = self.file.read(length)
        if len(data) < length:
            raise PartRejected(Rule.UNREADABLE)
        return data
