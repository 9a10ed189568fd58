"""Outlook messages (.msg) and the other compound files of Microsoft, by olefile.

https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxmsg
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import olefile

from ingest.codes import Rule
from ingest.documents.content_ids import shown_content_ids
from ingest.documents.media_types import ENCRYPTED_OFFICE, OUTLOOK_MESSAGE, WINDOWS_INSTALLER
from ingest.documents.unpacking.bounded import Bounded, readable
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import PartRejected

_ATTACHMENT = "__attach_version1.0_#"
_EMBEDDED_MESSAGE = "__substg1.0_3701000D"
_DATA = "__substg1.0_37010102"
_LONG_FILE_NAME, _FILE_NAME, _DISPLAY_NAME, _MIME_TAG, _CONTENT_ID = "3707", "3704", "3001", "370E", "3712"
_SUBJECT, _BODY_HTML = "0037", "10130102"
_MSI_CLASS = "000C1084-0000-0000-C000-000000000046"

_AT_ONCE = 8 * 1024 * 1024  # bytes; olefile reads all streams below 4 KiB together
_MAX_ENTRIES = 20_000  # of one file's directory
_MAX_TEXT = 64 * 1024  # bytes of a name
_MAX_BODY = 4 * 1024 * 1024  # bytes of HTML that are searched for images
_MAX_NESTING = 16  # messages in messages


if TYPE_CHECKING:
    _OleFile = olefile.OleFileIO[Any]
else:
    _OleFile = olefile.OleFileIO  # generic in its stubs only


class _CompoundFile(_OleFile):
    """A compound file with a limit on directory entries: olefile takes all of them into memory."""

    minisectorcutoff: int  # these three are missing in the stubs
    direntries: list[Any]
    fat: Sequence[int]
    _entries = 0

    def _load_direntry(self, sid: int) -> Any:  # noqa: ANN401 - as in the library
        self._entries += 1
        if self._entries > _MAX_ENTRIES:
            raise PartRejected(Rule.TOO_MANY)
        return super()._load_direntry(sid)


def type_of(file: IO[bytes]) -> str:
    """Return the media type of a compound file, by the names of its streams."""
    try:
        with _opened(file) as ole:
            return _type_of(ole)
    except PartRejected:
        return "application/x-ole-storage"


def _type_of(ole: _CompoundFile) -> str:
    streams = {
        "__properties_version1.0": OUTLOOK_MESSAGE,
        "EncryptedPackage": ENCRYPTED_OFFICE,
        "WordDocument": "application/msword",
        "Workbook": "application/vnd.ms-excel",
        "Book": "application/vnd.ms-excel",
        "PowerPoint Document": "application/vnd.ms-powerpoint",
    }
    if str(getattr(ole.root, "clsid", "")).upper() == _MSI_CLASS:
        return WINDOWS_INSTALLER
    return next((found for name, found in streams.items() if ole.exists(name)), "application/x-ole-storage")


def open_msg(file: IO[bytes], *, max_parts: int) -> Container:
    """Return the attachments. Raises PartRejected(too_many), PartRejected(unreadable)."""
    with readable():
        return _Reader(_open(file), max_parts).message("", 0)


class _Reader:
    def __init__(self, ole: _CompoundFile, max_parts: int) -> None:
        self._ole = ole
        self._left = max_parts
        self._storages = ole.listdir(streams=False, storages=True)

    def message(self, path: str, nesting: int) -> Container:
        """Return the message in the storage `path`, which ends with a slash or is empty."""
        if nesting > _MAX_NESTING:
            raise PartRejected(Rule.TOO_DEEP)
        depth = path.count("/") + 1
        storages = sorted(
            entry[depth - 1]
            for entry in self._storages
            if len(entry) == depth and "/".join(entry).startswith(f"{path}{_ATTACHMENT}")
        )
        self._left -= len(storages)
        if self._left < 0:
            raise PartRejected(Rule.TOO_MANY)
        html = f"{path}__substg1.0_{_BODY_HTML}"
        return Container(
            rule=Rule.ATTACHED_MAIL,
            members=tuple(self._member(f"{path}{storage}/", nesting) for storage in storages),
            is_mail=True,
            shown=lambda: shown_content_ids([self._small(html, _MAX_BODY)]),
        )

    def _member(self, path: str, nesting: int) -> Member:
        name = self._text(path, _LONG_FILE_NAME) or self._text(path, _FILE_NAME) or self._text(path, _DISPLAY_NAME)
        embedded = f"{path}{_EMBEDDED_MESSAGE}"
        if self._ole.exists(embedded):
            subject = self._text(f"{embedded}/", _SUBJECT)
            return Member(
                name=f"{subject or name}.msg",
                declared_type=OUTLOOK_MESSAGE,
                embedded=self.message(f"{embedded}/", nesting + 1),
            )
        data = f"{path}{_DATA}"
        return Member(
            name=name,
            declared_type=self._text(path, _MIME_TAG) or None,
            content_id=self._text(path, _CONTENT_ID).strip("<>") or None,
            size=self._ole.get_size(data) if self._ole.exists(data) else None,
            open=lambda: self._content(data),
        )

    def _text(self, path: str, key: str) -> str:
        for kind, encoding in (("001F", "utf-16-le"), ("001E", "cp1252")):
            stream = f"{path}__substg1.0_{key}{kind}"
            if self._ole.exists(stream):
                return self._small(stream, _MAX_TEXT).decode(encoding, "replace").rstrip("\0")
        return ""

    def _small(self, stream: str, at_most: int) -> bytes:
        """Return a small stream; nothing if the stream is missing, larger than `at_most` bytes, or broken."""
        try:
            with readable():
                if not self._ole.exists(stream) or self._ole.get_size(stream) > at_most:
                    return b""
                return bytes(self._ole.openstream(stream).read())
        except PartRejected:
            return b""

    def _content(self, stream: str) -> Iterator[bytes]:
        """Yield a stream sector by sector: olefile itself would assemble the stream in memory."""
        with readable():
            if not self._ole.exists(stream):
                return
            left = self._ole.get_size(stream)
            if left < self._ole.minisectorcutoff:
                yield bytes(self._ole.openstream(stream).read())
                return
            sector = self._ole.direntries[self._ole._find(stream)].isectStart  # noqa: SLF001 - no public method returns it
            while left > 0:
                if sector >= len(self._ole.fat):
                    raise PartRejected(Rule.UNREADABLE)
                block = bytes(self._ole.getsect(sector))[:left]
                if not block:
                    raise PartRejected(Rule.UNREADABLE)
                left -= len(block)
                yield block
                sector = self._ole.fat[sector] & 0xFFFFFFFF


def _open(file: IO[bytes]) -> _CompoundFile:
    size = file.seek(0, io.SEEK_END)
    # Reads for the directories stay in proportion to the file. A chain that forms a circle passes the bound.
    bound = Bounded(file, at_once=_AT_ONCE, in_all=4 * size + _AT_ONCE, rule=Rule.UNREADABLE)
    ole = _CompoundFile(bound)
    if ole.direntries[0].size > _AT_ONCE:  # the root's size is that of all small streams
        raise PartRejected(Rule.UNREADABLE)
    return ole


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[_CompoundFile]:
    with readable():
        yield _open(file)
