"""Active content of documents: macros, scripts, programs inside, links that are followed on opening. For the DMS.

A finding is a warning and no proof: a search that a sender can mislead, and that sees nothing in encrypted files.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import IO, Final

from ingest.codes import ActiveContent, Rule
from ingest.documents.blocked_types import BLOCKED, extension_of
from ingest.documents.media_types import OFFICE_OPEN_XML, PDF
from ingest.documents.spool import read_range
from ingest.documents.unpacking import zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.errors import PartRejected

_OVERLAP: Final = 256  # bytes: longer than any mark
_MEMBERS: Final = 4000  # members of an archive that are looked at
_RELATIONS_BYTES: Final = 64 * 1024  # of one part with relationships
_MOST_RELATIONS: Final = 200
_OBJECT_STREAMS: Final = 1000  # of one PDF
_EXPANDED: Final = 4 * 1024 * 1024  # bytes of one such stream

# `on…=` only inside a tag: a text about `on = off` is no script.
_SCRIPT_IN_MARKUP: Final = re.compile(
    rb"<(?:[\w-]{1,20}:)?(?:script|iframe|object|embed|foreignobject)[\s>/]|javascript\s*:"
    rb"|<[a-z][^<>]{0,200}?[\s\"'/]on[a-z]{3,20}\s*=",
    re.IGNORECASE,
)
# In the directory of a compound file, names are UTF-16.
_VBA_STORAGE: Final = "_VBA_PROJECT".encode("utf-16-le")
_VBA_MEMBER: Final = re.compile(r"(^|/)(vbaproject\.bin|macrosheets/|activex/)|^(basic|scripts)/", re.IGNORECASE)
_RELATION: Final = re.compile(rb"<(?:\w{1,20}:)?Relationship\s[^>]*+>")
_OBJECT_STREAM: Final = re.compile(rb"/ObjStm\b[^\0]{0,200}?stream\r?\n")


def _pdf_name(name: str) -> bytes:
    """Return a pattern for a PDF name. Its characters may be written in hex (ISO 32000-1, 7.3.5)."""
    return b"/" + b"".join(b"(?:%c|#%02x|#%02X)" % (char, char, char) for char in name.encode())


_SCRIPT_IN_PDF: Final = re.compile(b"|".join(map(_pdf_name, ("JavaScript", "Launch"))))


def find_active_content(file: IO[bytes], size: int, media_type: str) -> tuple[ActiveContent, ...]:
    """Return the kinds of active content in a document of `size` bytes, in alphabetical order.

    Raises PartRejected(too_costly) from reading `file`.
    """
    if media_type == PDF:
        return (ActiveContent.SCRIPT,) if _has_script(file, size) else ()
    if media_type in {"image/svg+xml", "text/html"}:
        found = any(_SCRIPT_IN_MARKUP.search(window.replace(b"\0", b"")) for _, window in _windows(file, size))
        return (ActiveContent.SCRIPT,) if found else ()
    if media_type.startswith(_ARCHIVE_TYPES) or ".macroenabled." in media_type:
        return _of_archive(file)
    if media_type in _COMPOUND_TYPES:
        return (ActiveContent.MACROS,) if any(_VBA_STORAGE in window for _, window in _windows(file, size)) else ()
    return ()


_COMPOUND_TYPES: Final = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})
# An archive in the shape of such a document may hold any other file besides.
_ARCHIVE_TYPES: Final = (OFFICE_OPEN_XML, "application/vnd.oasis.opendocument.", "application/epub+zip")


def _of_archive(file: IO[bytes]) -> tuple[ActiveContent, ...]:
    found = set[ActiveContent]()
    try:
        names = zip.list_names(file, max_parts=_MEMBERS)
        if any(_VBA_MEMBER.search(name) for name in names):
            found.add(ActiveContent.MACROS)
        if any(extension_of(name) in BLOCKED for name in names):
            found.add(ActiveContent.EXECUTABLE)
        chosen = frozenset([name for name in names if name.lower().endswith(".rels")][:_MOST_RELATIONS])
        relations = zip.read_several(file, chosen, at_most=_RELATIONS_BYTES, max_parts=_MEMBERS)
        if any(_leads_outside(part) for part in relations):
            found.add(ActiveContent.EXTERNAL_LINK)
    except PartRejected as rejected:
        if rejected.rule is Rule.TOO_COSTLY:
            raise
    return tuple(sorted(found))


def _leads_outside(relations: bytes) -> bool:
    """Return whether Office follows a link on opening: to a template, a picture, an object. Hyperlinks need a click."""
    return any(b"External" in tag and b"/hyperlink" not in tag for tag in _RELATION.findall(relations))


def _has_script(file: IO[bytes], size: int) -> bool:
    """Return whether a PDF has a script, or starts a program. Object streams are looked into."""
    streams = list[int]()
    for start, window in _windows(file, size):
        if _SCRIPT_IN_PDF.search(window) is not None:
            return True
        streams += [start + match.end() for match in _OBJECT_STREAM.finditer(window)]
    return any(
        _SCRIPT_IN_PDF.search(_expanded(file, start, size)) for start in dict.fromkeys(streams[:_OBJECT_STREAMS])
    )


def _expanded(file: IO[bytes], start: int, size: int) -> bytes:
    """Return a deflated stream, as far as it is sound, at most _EXPANDED bytes."""
    inflate, expanded = zlib.decompressobj(), bytearray()
    try:
        for block in read_range(file, start, size):
            expanded += inflate.decompress(block, _EXPANDED - len(expanded))
            if inflate.eof or len(expanded) >= _EXPANDED:
                break
    except zlib.error:
        pass
    return bytes(expanded)


def _windows(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the file in pieces that overlap, each with its offset."""
    tail, start = b"", 0
    for block in read_range(file, 0, size):
        window = tail + block
        yield start - len(tail), window
        start += len(block)
        tail = window[-_OVERLAP:]
