"""What content is, told from the content. Name and declared type are hints, used where the content says nothing.

The types that a rule depends on are recognised here, by signatures that are exact; puremagic, which guesses among
hundreds of formats, names the rest.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ingest.documents.media_types import (
    ANDROID_PACKAGE,
    APPLE_DOUBLE,
    BY_EXTENSION,
    CALENDAR,
    CMS_ENCRYPTED,
    DANGEROUS,
    ELF_PROGRAM,
    ENCRYPTED_OFFICE,
    FINDER_STORE,
    HTML_HELP,
    JAVA_ARCHIVE,
    JAVA_CLASS,
    MACH_PROGRAM,
    MAIL,
    OFFICE_OPEN_XML,
    PDF,
    PGP_CONTROL,
    PGP_ENCRYPTED,
    PGP_KEYS,
    PGP_SIGNATURE,
    PROGRAM,
    SCRIPT,
    SHORTCUT,
    SIGNED,
    SMIME_SIGNATURE,
    TEXT,
    TNEF,
    UNKNOWN,
    VCARD,
    WINDOWS_PROGRAM,
    XML,
    ZIP,
)
from ingest.documents.unpacking import cms, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.errors import PartRejected

_DIRECTORY_PARTS = 4000  # members of an archive that are looked at to tell what it is

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
)
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
_PDF_WITHIN = 1024  # bytes before %PDF- that readers put up with
_EXECUTABLE_HEADER = 64  # bytes of an MZ header

_COMMENTS = r"(<!--(?:(?!-->).)*-->\s*)*"  # none goes on beyond its end: there is one way to read them, not 2**n
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
        (rf"(<\?xml[^>]*>\s*)?{_COMMENTS}<svg[\s>]", "image/svg+xml"),
        (r"<\?xml[\s?]", XML),
        (rf"{_COMMENTS}(<!doctype html|<html[\s>])", "text/html"),
        (r"<(\w+:)?\w+\s[^>]*xmlns", XML),
    )
)
_MAIL_HEADER = re.compile(
    r"^(received|return-path|delivered-to|from|to|cc|subject|date|message-id|mime-version|content-type|reply-to"
    r"|content-transfer-encoding):",
    re.IGNORECASE | re.MULTILINE,
)
_MULTIPART = re.compile(r"^content-type:\s*multipart/", re.IGNORECASE | re.MULTILINE)
_ANY_HEADER = re.compile(r"(from .*\n)?[!-9;-~]+[ \t]*:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_TEXT_HEAD = 8192  # characters of text that are looked at

# Where the content says nothing else, these names are what Windows and others would run.
_RUN_BY_NAME = re.compile(
    r"\.(exe|com|scr|pif|dll|cpl|bat|cmd|vbs|vbe|js|jse|mjs|wsf|wsh|hta|ps1|psm1|psd1|sct|scf|reg|url|lnk|inf|jar"
    r"|msi|msp|msc|sh|bash|py|pyw|pl|rb|php|chm|apk|application)[\s.]*\Z",
    re.IGNORECASE,
)

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
}
# Types that are only text to look at: plain text can't contradict them.
_TEXTUAL = re.compile(r"text/(?!html|calendar|vcard)|application/(json|csv|x-ndjson|yaml|edifact|edi-\w+)\b|message/")
# Types that have signatures known here: content without one contradicts them.
_PROVABLE = re.compile(
    r"application/(pdf|zip|xml|rtf|ms-tnef|vnd\.ms-outlook|vnd\.openxmlformats)|image/(png|jpeg|gif|tiff)|text/html"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detected:
    """`media_type` as told from the content; `mismatch`: declared type or name claim something else."""

    media_type: str
    mismatch: bool

    @property
    def dangerous(self) -> bool:
        """Whether it is something that a computer would run."""
        return self.media_type in DANGEROUS


def detect(file: IO[bytes], head: bytes, *, name: str, declared_type: str | None) -> Detected:
    """The type of the content in `file`, which begins with `head`. Raises nothing."""
    if not head:
        return Detected(media_type=UNKNOWN, mismatch=False)
    declared = _canonical(declared_type)
    found = _of_content(file, head, name, declared)
    return Detected(media_type=found, mismatch=_contradicts(found, declared, name))


def _of_content(file: IO[bytes], head: bytes, name: str, declared: str) -> str:
    found = _of_signature(file, head)
    if found is None and (text := _as_text(head)) is not None:
        found = _of_text(text, name, declared)
    if found in {None, TEXT} and b"%PDF-" in head[:_PDF_WITHIN]:
        return PDF
    if found in {None, TEXT, "text/html"} and _RUN_BY_NAME.search(name):
        return SCRIPT if found else PROGRAM
    return found or _by_library(head)


def _of_signature(file: IO[bytes], head: bytes) -> str | None:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_archive(file)
    if head.startswith(_COMPOUND):
        return msg.type_of(file)
    if head.startswith(b"MZ") and len(head) >= _EXECUTABLE_HEADER and _as_text(head) is None:
        return WINDOWS_PROGRAM
    if head.startswith(b"\x30") and (kind := cms.kind_of(file)) is not None:
        return _OF_CMS[kind]
    return next((found for signature, found in _SIGNATURES if head.startswith(signature)), None)


_OF_CMS = {
    cms.CmsKind.SIGNED: SIGNED,
    cms.CmsKind.SIGNATURE: SMIME_SIGNATURE,
    cms.CmsKind.ENCRYPTED: CMS_ENCRYPTED,
}


def _of_archive(file: IO[bytes]) -> str:
    """Office documents, Java and Android programs are zip archives, too."""
    try:
        names = zip.list_names(file, max_parts=_DIRECTORY_PARTS)
        if "mimetype" in names:  # OpenDocument, EPUB
            told = zip.read_small(file, "mimetype", 100).decode("ascii", "replace").strip()
            return told if re.fullmatch(r"application/[\w.+-]+", told) else ZIP
    except PartRejected:
        return ZIP
    if "[Content_Types].xml" in names:
        folders = {name.partition("/")[0] for name in names}
        return next((found for folder, found in _OFOFFICE_OPEN_XML_FOLDER.items() if folder in folders), ZIP)
    return next((found for member, found in _OF_MEMBER.items() if member in names), ZIP)


_OFOFFICE_OPEN_XML_FOLDER = {
    "word": f"{OFFICE_OPEN_XML}wordprocessingml.document",
    "xl": f"{OFFICE_OPEN_XML}spreadsheetml.sheet",
    "ppt": f"{OFFICE_OPEN_XML}presentationml.presentation",
}
_OF_MEMBER = {
    "AndroidManifest.xml": ANDROID_PACKAGE,
    "META-INF/MANIFEST.MF": JAVA_ARCHIVE,
}


def _as_text(head: bytes) -> str | None:
    """The content's beginning as text; None where it is none."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace")[:_TEXT_HEAD]
    sample = head[:_TEXT_HEAD]
    try:
        # The last character of a sample may be cut in two: that is no error.
        text = codecs.getincrementaldecoder("utf-8")().decode(sample, final=len(head) <= _TEXT_HEAD)
    except UnicodeDecodeError:
        text = sample.decode("latin-1")
    return None if _CONTROL.search(text) else text


def _of_text(text: str, name: str, declared: str) -> str:
    stripped = text.lstrip()
    for pattern, found in _TEXT_SIGNATURES:
        if pattern.match(stripped):
            return found
    if declared == PGP_ENCRYPTED and re.fullmatch(r"Version: \d+\s*", text):
        return PGP_CONTROL
    hinted = declared == MAIL or name.lower().endswith(".eml")
    header = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    known = {name.lower() for name in _MAIL_HEADER.findall(header)}
    if _ANY_HEADER.match(text) and (len(known) >= (1 if hinted else 3) or _MULTIPART.search(header)):
        return MAIL
    return TEXT


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


# What the one sender calls this, the other calls that.
_ALIKE = {
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
