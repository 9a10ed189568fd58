"""Outlook messages (.msg) and the other compound files of Microsoft.

https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxmsg
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from ingest.codes import Rule
from ingest.documents.media_types import ENCRYPTED_OFFICE, OUTLOOK_MESSAGE, WINDOWS_INSTALLER
from ingest.documents.unpacking.compound import CompoundFile, Entry, Kind
from ingest.documents.unpacking.container import Container, Member
from ingest.documents.unpacking.content_ids import shown_content_ids
from ingest.errors import PartRejected

# Names of entries in lower case.
_ATTACHMENT = "__attach_version1.0_#"
_EMBEDDED_MESSAGE = "__substg1.0_3701000d"
_DATA = "__substg1.0_37010102"
_LONG_FILE_NAME, _FILE_NAME, _DISPLAY_NAME, _MIME_TAG, _CONTENT_ID = "3707", "3704", "3001", "370e", "3712"
_SUBJECT, _BODY_HTML = "0037", "__substg1.0_10130102"
_MSI_CLASS = bytes.fromhex("84100c0000000000c000000000000046")

_MAX_TEXT = 4096  # bytes of a name
_MAX_BODY = 4 * 1024 * 1024  # bytes of HTML that are searched for images
_MAX_NESTING = 16  # messages in messages

_OTHER = "application/x-ole-storage"
_OF_ENTRY = {
    "__properties_version1.0": OUTLOOK_MESSAGE,
    "encryptedpackage": ENCRYPTED_OFFICE,
    "worddocument": "application/msword",
    "workbook": "application/vnd.ms-excel",
    "book": "application/vnd.ms-excel",
    "powerpoint document": "application/vnd.ms-powerpoint",
}


def type_of(file: IO[bytes]) -> str:
    """Return the media type of a compound file, by the names of its streams."""
    try:
        compound = CompoundFile(file)
        names = compound.children(compound.root)
    except PartRejected:
        return _OTHER
    if compound.root.class_id == _MSI_CLASS:
        return WINDOWS_INSTALLER
    return next((found for name, found in _OF_ENTRY.items() if name in names), _OTHER)


def open_msg(file: IO[bytes], *, max_parts: int) -> Container:
    """Return the attachments. Raises PartRejected(too_many), PartRejected(unreadable)."""
    compound = CompoundFile(file)
    return _Reader(compound, max_parts).message(compound.root, 0)


class _Reader:
    def __init__(self, compound: CompoundFile, max_parts: int) -> None:
        self._compound = compound
        self._left = max_parts

    def message(self, storage: Entry, nesting: int) -> Container:
        if nesting > _MAX_NESTING:
            raise PartRejected(Rule.TOO_DEEP)
        entries = self._compound.children(storage)
        names = sorted(
            name for name, entry in entries.items() if entry.kind == Kind.STORAGE and name.startswith(_ATTACHMENT)
        )
        self._left -= len(names)
        if self._left < 0:
            raise PartRejected(Rule.TOO_MANY)
        return Container(
            rule=Rule.ATTACHED_MAIL,
            members=tuple(self._member(entries[name], nesting) for name in names),
            is_mail=True,
            shown=lambda: shown_content_ids([self._small(entries, _BODY_HTML, _MAX_BODY)]),
        )

    def _member(self, storage: Entry, nesting: int) -> Member:
        entries = self._compound.children(storage)
        texts = (self._text(entries, key) for key in (_LONG_FILE_NAME, _FILE_NAME, _DISPLAY_NAME))
        name = next(filter(None, texts), "")
        embedded = entries.get(_EMBEDDED_MESSAGE)
        if embedded is not None:
            subject = self._text(self._compound.children(embedded), _SUBJECT)
            return Member(
                name=f"{subject or name}.msg",
                declared_type=OUTLOOK_MESSAGE,
                embedded=self.message(embedded, nesting + 1),
            )
        data = _stream(entries, _DATA)
        return Member(
            name=name,
            declared_type=self._text(entries, _MIME_TAG) or None,
            content_id=self._text(entries, _CONTENT_ID).strip("<>") or None,
            size=data.size if data else None,
            open=lambda: self._compound.blocks(data) if data else iter(()),
        )

    def _text(self, entries: Mapping[str, Entry], key: str) -> str:
        for kind, encoding in (("001f", "utf-16-le"), ("001e", "cp1252")):
            name = f"__substg1.0_{key}{kind}"
            if name in entries:
                return self._small(entries, name, _MAX_TEXT).decode(encoding, "replace").rstrip("\0")
        return ""

    def _small(self, entries: Mapping[str, Entry], name: str, at_most: int) -> bytes:
        """Return a small stream; nothing if the stream is missing, larger than `at_most` bytes, or broken."""
        stream = _stream(entries, name)
        if stream is None or stream.size > at_most:
            return b""
        try:
            return b"".join(self._compound.blocks(stream))
        except PartRejected as rejected:
            if rejected.rule is Rule.UNREADABLE:
                return b""
            raise


def _stream(entries: Mapping[str, Entry], name: str) -> Entry | None:
    entry = entries.get(name)
    return entry if entry is not None and entry.kind == Kind.STREAM else None
