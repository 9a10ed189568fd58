"""The media types that a rule depends on, as detection tells them."""

from __future__ import annotations

from typing import Final

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
PDF = "application/pdf"
XML = "application/xml"
MAIL = "message/rfc822"
OUTLOOK_MESSAGE = "application/vnd.ms-outlook"
ZIP = "application/zip"
TNEF = "application/ms-tnef"
SIGNED = "application/pkcs7-mime"
CMS_ENCRYPTED = "application/pkcs7-mime; smime-type=enveloped-data"
SMIME_SIGNATURE = "application/pkcs7-signature"
PGP_SIGNATURE = "application/pgp-signature"
PGP_KEYS = "application/pgp-keys"
PGP_ENCRYPTED = "application/pgp-encrypted"
PGP_CONTROL = "application/pgp-encrypted; version"
VCARD = "text/vcard"
CALENDAR = "text/calendar"
APPLE_DOUBLE = "application/applefile"
FINDER_STORE = "application/x-ds-store"
ENCRYPTED_OFFICE = "application/x-ole-encrypted-package"

# What a computer would run.
WINDOWS_PROGRAM = "application/vnd.microsoft.portable-executable"
ELF_PROGRAM = "application/x-elf"
MACH_PROGRAM = "application/x-mach-binary"
SHORTCUT = "application/x-ms-shortcut"
PROGRAM = "application/x-executable"
JAVA_CLASS = "application/java-vm"
JAVA_ARCHIVE = "application/java-archive"
ANDROID_PACKAGE = "application/vnd.android.package-archive"
HTML_HELP = "application/vnd.ms-htmlhelp"
WINDOWS_INSTALLER = "application/x-msi"
SCRIPT = "text/x-script"

DANGEROUS = frozenset(
    {
        WINDOWS_PROGRAM,
        ELF_PROGRAM,
        MACH_PROGRAM,
        SHORTCUT,
        PROGRAM,
        JAVA_CLASS,
        JAVA_ARCHIVE,
        ANDROID_PACKAGE,
        HTML_HELP,
        WINDOWS_INSTALLER,
        SCRIPT,
    }
)

OFFICE_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument."
BY_EXTENSION = {
    "pdf": PDF,
    "xml": XML,
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "svg": "image/svg+xml",
    "zip": ZIP,
    "eml": MAIL,
    "msg": OUTLOOK_MESSAGE,
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "docx": f"{OFFICE_OPEN_XML}wordprocessingml.document",
    "xlsx": f"{OFFICE_OPEN_XML}spreadsheetml.sheet",
    "pptx": f"{OFFICE_OPEN_XML}presentationml.presentation",
    "rtf": "application/rtf",
    "txt": TEXT,
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "ics": CALENDAR,
    "vcf": VCARD,
    "p7m": SIGNED,
    "p7s": SMIME_SIGNATURE,
}
_EXTENSIONS: Final = {media_type: extension for extension, media_type in reversed(BY_EXTENSION.items())}


def extension(media_type: str, declared_type: str | None) -> str:
    """Return the extension, with its dot, for a file of this type; `.bin` for a type without one."""
    declared = (declared_type or "").partition(";")[0].strip().lower()
    if media_type in {TEXT, UNKNOWN} and declared in _EXTENSIONS:  # content that can be no proof against it
        return f".{_EXTENSIONS[declared]}"
    return f".{_EXTENSIONS.get(media_type.partition(';')[0], 'bin')}"
