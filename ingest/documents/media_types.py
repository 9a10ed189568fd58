"""The media types that a rule depends on, and the extensions of types."""

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
RIGHTS_PROTECTED = "application/x-microsoft-rpmsg-message"

# Programs, and containers of programs that a computer runs or mounts.
WINDOWS_PROGRAM = "application/vnd.microsoft.portable-executable"
ELF_PROGRAM = "application/x-elf"
MACH_PROGRAM = "application/x-mach-binary"
SHORTCUT = "application/x-ms-shortcut"
PROGRAM = "application/x-executable"
JAVA_CLASS = "application/java-vm"
JAVA_ARCHIVE = "application/java-archive"
ANDROID_PACKAGE = "application/vnd.android.package-archive"
WINDOWS_PACKAGE = "application/vnd.ms-appx"
CABINET = "application/vnd.ms-cab-compressed"
DISK_IMAGE = "application/x-disk-image"
ONENOTE = "application/onenote"
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
        WINDOWS_PACKAGE,
        HTML_HELP,
        WINDOWS_INSTALLER,
        SCRIPT,
    }
)
# Carriers of programs. Dangerous, unless an operator allows the extension.
CARRIERS = frozenset({CABINET, DISK_IMAGE, ONENOTE})

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
    "bmp": "image/bmp",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "avif": "image/avif",
    "jp2": "image/jp2",
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
    "docm": "application/vnd.ms-word.document.macroenabled.12",
    "xlsm": "application/vnd.ms-excel.sheet.macroenabled.12",
    "xlsb": "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    "pptm": "application/vnd.ms-powerpoint.presentation.macroenabled.12",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
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
