"""The type of a content, taken from the content. Name and declared type are hints, used where the content has no mark.

The types that a rule depends on are recognised here, by exact signatures. puremagic, which guesses among hundreds of
formats, names the rest.
"""

from __future__ import annotations

import codecs
import logging
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ingest.documents.blocked_types import USUAL, Blocking
from ingest.documents.media_types import (
    ANDROID_PACKAGE,
    APPLE_DOUBLE,
    BY_EXTENSION,
    CABINET,
    CALENDAR,
    CARRIERS,
    CMS_ENCRYPTED,
    DANGEROUS,
    DISK_IMAGE,
    ELF_PROGRAM,
    ENCRYPTED_OFFICE,
    FINDER_STORE,
    HTML_HELP,
    JAVA_ARCHIVE,
    JAVA_CLASS,
    MACH_PROGRAM,
    MAIL,
    OFFICE_OPEN_XML,
    ONENOTE,
    PDF,
    PGP_CONTROL,
    PGP_ENCRYPTED,
    PGP_KEYS,
    PGP_SIGNATURE,
    PROGRAM,
    RIGHTS_PROTECTED,
    SCRIPT,
    SHORTCUT,
    SIGNED,
    SMIME_SIGNATURE,
    TEXT,
    TNEF,
    UNKNOWN,
    VCARD,
    WINDOWS_PACKAGE,
    WINDOWS_PROGRAM,
    XML,
    ZIP,
)
from ingest.documents.unpacking import cms, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.errors import PartRejected

_DIRECTORY_PARTS = 4000  # members of an archive that are looked at for its type
_CONTENT_TYPES = "[Content_Types].xml"
_CONTENT_TYPES_BYTES = 256 * 1024  # of that member

_SIGNATURES: Sequence[tuple[bytes, str]] = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"{\\rtf", "application/rtf"),
    (tnef.SIGNATURE, TNEF),
    (b"\x7fELF", ELF_PROGRAM),
    (b"\xfe\xed\xfa\xce", MACH_PROGRAM),
    (b"\xfe\xed\xfa\xcf", MACH_PROGRAM),
    (b"\xce\xfa\xed\xfe", MACH_PROGRAM),
    (b"\xcf\xfa\xed\xfe", MACH_PROGRAM),
    (b"\xca\xfe\xba\xbe", JAVA_CLASS),
    (b"L\0\0\0\x01\x14\x02\0", SHORTCUT),
    (b"ITSF\x03\0\0\0", HTML_HELP),
    (b"\0\x05\x16\x07", APPLE_DOUBLE),
    (b"\0\x05\x16\0", APPLE_DOUBLE),
    (b"\0\0\0\x01Bud1", FINDER_STORE),
    (b"\x76\xe8\x04\x60\xc4\x11\xe3\x86", RIGHTS_PROTECTED),  # [MS-OXORMMS] 2.1.4
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/j2c"),
    (b"MSCF\0\0\0\0", CABINET),
    (b"vhdxfile", DISK_IMAGE),
    (b"conectix", DISK_IMAGE),
    (b"MSWIM\0\0\0", DISK_IMAGE),
    (bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3"), ONENOTE),  # [MS-ONESTORE] 2.3.1
)
_VOLUME_AT = 32769  # of the first volume descriptor of a disk image (ECMA-119, 8.1; ECMA-167 2/9.1)
_VOLUMES = (b"CD001", b"BEA01", b"NSR02", b"NSR03")
_BITMAP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # sizes of the header behind that of the file
# RIFF forms, and brands of ISO base media files (ISO/IEC 14496-12, 4.3; https://mp4ra.org/registered-types/brands).
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS: Sequence[tuple[str, frozenset[bytes]]] = (
    ("image/avif", frozenset({b"avif", b"avis"})),
    ("image/heic", frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})),
    ("image/heif", frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})),
    ("image/jp2", frozenset({b"jp2 ", b"jpx ", b"jpm "})),
    ("image/x-canon-cr3", frozenset({b"crx "})),
    ("video/quicktime", frozenset({b"qt  "})),
    ("audio/mp4", frozenset({b"M4A ", b"M4B ", b"M4P "})),
    ("video/3gpp", frozenset({b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gp8", b"3gp9"})),
)
_MOST_BRANDS = 64
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
_PDF_WITHIN = 1024  # bytes before %PDF- that readers put up with
_EXECUTABLE_HEADER = 64  # bytes of an MZ header

_MISC = r"(?:<!--(?:(?!-->)[\s\S])*+-->|<\?(?:(?!\?>)[\s\S])*+\?>|\s++)*+"  # XML 1.0, 2.8, in front of the root
# Tags by which browsers know HTML (https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type).
_HTML_TAGS = r"(?:head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link|center)"
_TEXT_SIGNATURES: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.IGNORECASE), found)
    for pattern, found in (
        (r"begin:vcalendar\b", CALENDAR),
        (r"begin:vcard\b", VCARD),
        (r"-----BEGIN PGP SIGNATURE-----", PGP_SIGNATURE),
        (r"-----BEGIN PGP PUBLIC KEY BLOCK-----", PGP_KEYS),
        (r"-----BEGIN PGP MESSAGE-----", PGP_ENCRYPTED),
        (r"#!\s*/", SCRIPT),
        (r"\[InternetShortcut\]", SCRIPT),
        (r"(Windows Registry Editor|REGEDIT4)", SCRIPT),
        (rf"{_MISC}(?:<!doctype svg[^>]*+>{_MISC})?<svg[\s>]", "image/svg+xml"),
        (rf"{_MISC}(<!doctype html|<html[\s>])", "text/html"),
        (r"<\?xml[\s?-]", XML),
        (rf"{_MISC}<([\w.-]+:)?[\w.-]+\s[^>]*xmlns", XML),
    )
)
_HTML_PIECE = re.compile(rf"{_MISC}<{_HTML_TAGS}[\s>/]", re.IGNORECASE)
_MAIL_HEADER = re.compile(
    r"^(received|return-path|delivered-to|from|to|cc|subject|date|message-id|mime-version|content-type|reply-to"
    r"|content-transfer-encoding)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_MULTIPART = re.compile(r"^content-type[ \t]*:\s*multipart/", re.IGNORECASE | re.MULTILINE)
_ANY_HEADER = re.compile(r"(>?from .*\n)?[!-9;-~]+[ \t]*:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_TEXT_HEAD = 8192  # bytes in which a control character says that the content is no text

_NO_CLAIM = frozenset(
    {
        "",
        UNKNOWN,
        "binary/octet-stream",
        "application/binary",
        "application/force-download",
        "application/download",
        "application/x-download",
        "application/unknown",
        "application/x-unknown-content-type",
    }
)
_SAME = {
    "application/x-pdf": PDF,
    "text/xml": XML,
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-zip-compressed": ZIP,
    "application/x-zip": ZIP,
    "multipart/signed": MAIL,
    "application/vnd.ms-tnef": TNEF,
    "application/x-pkcs7-mime": SIGNED,
    "application/x-pkcs7-signature": SMIME_SIGNATURE,
    "text/x-vcard": VCARD,
    "text/directory": VCARD,
    "application/ics": CALENDAR,
    "text/rtf": "application/rtf",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-rar": "application/vnd.rar",
    "application/x-gzip": "application/gzip",
    "application/xhtml+xml": "text/html",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/jpeg2000": "image/jp2",
    "audio/x-wav": "audio/wav",
    "audio/x-m4a": "audio/mp4",
}
# Types that are only text to look at: plain text can't contradict them.
_TEXTUAL = re.compile(r"text/(?!html|calendar|vcard)|application/(json|csv|x-ndjson|yaml|edifact|edi-\w+)\b|message/")
# Types that have signatures known here: content without one contradicts them.
_PROVABLE = re.compile(
    r"application/(pdf|zip|xml|rtf|ms-tnef|vnd\.ms-outlook|vnd\.openxmlformats)|image/(png|jpeg|gif|tiff)|text/html"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detected:
    """The type of a content. `mismatch`: declared type or name claim another type.

    `dangerous`: a computer would run or mount the file, by its content or by its name.
    """

    media_type: str
    mismatch: bool = False
    dangerous: bool = False


def detect(
    file: IO[bytes], head: bytes, *, name: str, declared_type: str | None, blocking: Blocking = USUAL
) -> Detected:
    """Return the type of the content in `file`, which begins with `head`. Raises nothing."""
    if not head:
        return Detected(media_type=UNKNOWN)
    declared = _canonical(declared_type)
    blocked = blocking.is_blocked(name)
    found = _of_content(file, head, name, declared)
    if blocked and found in {None, TEXT, "text/html"}:
        found = SCRIPT if found else PROGRAM
    media_type = found or _by_library(head)
    dangerous = media_type in DANGEROUS or (media_type in CARRIERS and not blocking.is_allowed(name))
    return Detected(
        media_type=media_type,
        mismatch=_contradicts(media_type, declared, name),
        dangerous=blocked or dangerous,
    )


def _of_content(file: IO[bytes], head: bytes, name: str, declared: str) -> str | None:
    found = _of_signature(file, head)
    if found is None and (text := _as_text(head)) is not None:
        found = _of_text(text, name, declared)
    return PDF if found in {None, TEXT} and b"%PDF-" in head[:_PDF_WITHIN] else found


def _of_signature(file: IO[bytes], head: bytes) -> str | None:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_archive(file, head)
    if head.startswith(_COMPOUND):
        return msg.type_of(file)
    if head.startswith(b"MZ") and len(head) >= _EXECUTABLE_HEADER and _as_text(head) is None:
        return WINDOWS_PROGRAM
    if head.startswith(b"\x30") and (kind := cms.kind_of(file)) is not None:
        return _OF_CMS[kind]
    return _of_structure(head) or next((found for mark, found in _SIGNATURES if head.startswith(mark)), None)


def _of_structure(head: bytes) -> str | None:
    """Return the type of a format with a mark that is short, or behind its beginning."""
    if head[4:8] == b"ftyp":
        return _of_media(head)
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"BM") and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "image/bmp"
    return DISK_IMAGE if head[_VOLUME_AT : _VOLUME_AT + 5] in _VOLUMES else None


def _of_media(head: bytes) -> str:
    """Return the type of an ISO base media file: by its major brand, else by one that it is compatible with."""
    end = min(int.from_bytes(head[:4], "big"), 16 + 4 * _MOST_BRANDS)
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end, 4))]
    if brands[0] in {b"mif1", b"msf1", b"mif2"}:  # says no more than that there is an image
        brands = [*brands[1:], brands[0]]
    ranked = (found for brand in brands for found, known in _BRANDS if brand in known)
    return next(ranked, "video/mp4")


_OF_CMS = {
    cms.CmsKind.SIGNED: SIGNED,
    cms.CmsKind.SIGNATURE: SMIME_SIGNATURE,
    cms.CmsKind.ENCRYPTED: CMS_ENCRYPTED,
}


def _of_archive(file: IO[bytes], head: bytes) -> str:
    """Return the type of a zip archive: office documents, Java and Android programs are archives, too."""
    stored = _stored_type(head)
    if stored is not None:
        return stored
    try:
        names = frozenset(zip.list_names(file, max_parts=_DIRECTORY_PARTS))
        program = next((found for member, found in _OF_MEMBER.items() if member in names), None)
        if program is not None or _CONTENT_TYPES not in names:
            return program or ZIP
        types = zip.read_small(file, _CONTENT_TYPES, _CONTENT_TYPES_BYTES)
    except PartRejected:
        return ZIP
    macros = _MACRO_TYPE.search(types)
    if macros is not None:
        return f"{macros[1].decode().lower()}.12"
    folders = {name.partition("/")[0] for name in names}
    return next((found for folder, found in _OF_OOXML_FOLDER.items() if folder in folders), ZIP)


def _stored_type(head: bytes) -> str | None:
    """Return the type that an OpenDocument or EPUB file names in its first member, which is stored as it is.

    The member counts in no other place, and for no other format: the sender wrote it.
    """
    method, size, name_length, extra_length = struct.unpack_from("<8xH8xI4xHH", head.ljust(30))
    start = 30 + name_length + extra_length
    if head[30 : 30 + name_length] != b"mimetype" or method != 0:
        return None
    match = _OWN_TYPE.fullmatch(head[start : start + min(size, 100)].strip())
    return None if match is None else match[0].decode()


_OWN_TYPE = re.compile(rb"application/(?:vnd\.oasis\.opendocument\.[a-z-]{1,40}|epub\+zip)")
_MACRO_TYPE = re.compile(rb"(application/vnd\.ms-(?:word|excel|powerpoint)\.[A-Za-z.]{1,40}?macroEnabled)\.main")
_OF_OOXML_FOLDER = {
    "word": f"{OFFICE_OPEN_XML}wordprocessingml.document",
    "xl": f"{OFFICE_OPEN_XML}spreadsheetml.sheet",
    "ppt": f"{OFFICE_OPEN_XML}presentationml.presentation",
}
_OF_MEMBER = {
    "AndroidManifest.xml": ANDROID_PACKAGE,
    "META-INF/MANIFEST.MF": JAVA_ARCHIVE,
    "AppxManifest.xml": WINDOWS_PACKAGE,
    "AppxMetadata/AppxBundleManifest.xml": WINDOWS_PACKAGE,
}


def _as_text(head: bytes) -> str | None:
    """Return the content's beginning as text; None if it is no text."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace")
    try:
        # The last character may be cut in two, which is no error.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    return None if _CONTROL.search(text, 0, _TEXT_HEAD) else text


def _of_text(text: str, name: str, declared: str) -> str:
    stripped = text.lstrip()
    for pattern, found in _TEXT_SIGNATURES:
        if pattern.match(stripped):
            return found
    if not name.lower().endswith(".xml") and _HTML_PIECE.match(stripped):
        return "text/html"
    if declared == PGP_ENCRYPTED and re.fullmatch(r"Version: \d+\s*", text):
        return PGP_CONTROL
    return MAIL if _is_mail(text, stripped, hinted=declared == MAIL or name.lower().endswith(".eml")) else TEXT


def _is_mail(text: str, stripped: str, *, hinted: bool) -> bool:
    """Return whether the text begins as a mail does. `hinted`: name or declared type say so."""
    header = _BLANK_LINE.split(stripped, maxsplit=1)[0]
    known = {name.lower() for name in _MAIL_HEADER.findall(header)}
    if hinted:  # blank lines in front, or a line that is no field, are no reason to doubt
        return bool(known) or _ANY_HEADER.match(stripped) is not None
    return _ANY_HEADER.match(text) is not None and (len(known) >= _PROOF or _MULTIPART.search(header) is not None)


_BLANK_LINE = re.compile(r"\r?\n\r?\n")
_PROOF = 3  # fields that a mail has, and few other texts


def _by_library(head: bytes) -> str:
    import puremagic  # noqa: PLC0415 - 0.1 s, and most content is known without it

    try:
        matches = puremagic.magic_string(head[:_TEXT_HEAD])
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN
    named = (match.mime_type for match in matches if re.fullmatch(r"[\w.+-]+/[\w.+-]+", match.mime_type))
    return next(named, UNKNOWN)


def _canonical(declared_type: str | None) -> str:
    plain = (declared_type or "").partition(";")[0].strip().lower()
    return _SAME.get(plain, plain)


def _contradicts(found: str, declared: str, name: str) -> bool:
    claims = {declared, BY_EXTENSION.get(name.rpartition(".")[2].lower(), "")} - _NO_CLAIM
    return any(not _agrees(claim, found) for claim in claims)


def _agrees(claim: str, found: str) -> bool:
    plain = found.partition(";")[0]
    if claim in {plain, found} or (claim, plain) in _ALIKE:
        return True
    if plain == TEXT:
        return bool(_TEXTUAL.match(claim))
    if plain == UNKNOWN:
        return not _PROVABLE.match(claim)
    if found == ENCRYPTED_OFFICE:
        return claim.startswith(OFFICE_OPEN_XML)
    if plain == XML:
        return claim.endswith("+xml") or claim in {TEXT, "text/html"}
    return False


# Pairs of names that senders use for the same content.
_ALIKE = {
    ("image/heif", "image/heic"),
    ("image/heic", "image/heif"),
    ("image/heic-sequence", "image/heic"),
    ("image/jpx", "image/jp2"),
    ("video/quicktime", "video/mp4"),
    ("video/mp4", "video/quicktime"),
    (SIGNED, SMIME_SIGNATURE),
    (SMIME_SIGNATURE, SIGNED),
    (TEXT, CALENDAR),
    (TEXT, VCARD),
    (TEXT, MAIL),
    (TEXT, PGP_KEYS),
    (TEXT, PGP_SIGNATURE),
    (SIGNED, MAIL),  # Exchange: the whole of a mail with a detached signature, as smime.p7m
    ("multipart/appledouble", APPLE_DOUBLE),
}

logging.getLogger("puremagic").setLevel(logging.ERROR)
