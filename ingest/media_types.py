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
SCRIPT = "text/x-script"
APPLE_DOUBLE = "application/applefile"
FINDER_STORE = "application/x-ds-store"
ENCRYPTED_OFFICE = "application/x-ole-encrypted-package"
WINDOWS_INSTALLER = "application/x-msi"

DANGEROUS = frozenset(
    {
        "application/vnd.microsoft.portable-executable",
        "application/x-elf",
        "application/x-mach-binary",
        "application/x-ms-shortcut",
        "application/x-executable",
        "application/java-vm",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.ms-htmlhelp",
        WINDOWS_INSTALLER,
        SCRIPT,
    }
)
