"""The media types that a rule depends on, as detection tells them."""

from __future__ import annotations

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
