"""The codes that stand on records: why a mail is in Quarantine, what became of a part, and by which rule.

They are kept for as long as a record is: a name is added or no longer used, never changed.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a mail is in Quarantine: on its record, and as an Outlook category on the message itself."""

    NO_TOKEN = "no_token"  # noqa: S105 - a reason code, not a password
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason code, not a password
    TENANT_INACTIVE = "tenant_inactive"
    UNREADABLE = "unreadable"
    PROCESSING_FAILED = "processing_failed"
    CRASHED_REPEATEDLY = "crashed_repeatedly"


class Disposition(StrEnum):
    """What became of a part of a mail. Every part has exactly one."""

    DOCUMENT = "document"
    INLINE_IMAGE = "inline_image"
    SIGNATURE = "signature"
    CALENDAR = "calendar"
    LINK = "link"
    CONTAINER = "container"
    DUPLICATE_IN_MAIL = "duplicate_in_mail"
    REJECTED = "rejected"


class Rule(StrEnum):
    """Which rule decided on a part: the `reason` on its record. docs/documents.md tells each of them."""

    # document
    FILE = "file"
    MAIL_WITHOUT_DOCUMENTS = "mail_without_documents"
    BODY = "body"
    ENCRYPTED = "encrypted"
    UNREADABLE_CONTAINER = "unreadable_container"
    # inline_image, signature, calendar, link
    SHOWN_IN_BODY = "shown_in_body"
    SMIME_SIGNATURE = "smime_signature"
    PGP = "pgp"
    VCARD = "vcard"
    ICALENDAR = "icalendar"
    CLOUD_ATTACHMENT = "cloud_attachment"
    # container
    ATTACHED_MAIL = "attached_mail"
    ZIP_ARCHIVE = "zip_archive"
    WINMAIL_DAT = "winmail_dat"
    SIGNED_MAIL = "signed_mail"
    # duplicate_in_mail
    SAME_CONTENT = "same_content"
    # rejected
    DANGEROUS_TYPE = "dangerous_type"
    TOO_DEEP = "too_deep"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    SYSTEM_FILE = "system_file"
    BODY_PART = "body_part"
    UNREADABLE = "unreadable"
    UNKNOWN_ATTACHMENT_TYPE = "unknown_attachment_type"
