"""The codes on records: the reason of a quarantine, the fate of a part, and the rule that decided on the part.

Records keep these codes for years: a name is added or no longer used, never changed.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason why a mail is in Quarantine: on its record, and as an Outlook category on the message."""

    NO_TOKEN = "no_token"  # noqa: S105 - a reason code, not a password
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason code, not a password
    TENANT_INACTIVE = "tenant_inactive"
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    UNREADABLE = "unreadable"
    ATTACHMENT_PENDING = "attachment_pending"
    PROCESSING_FAILED = "processing_failed"
    CRASHED_REPEATEDLY = "crashed_repeatedly"
    TOO_COSTLY = "too_costly"


class HeldReason(StrEnum):
    """The reason why a stored mail is hidden from the DMS: its sender, by the tenant's list of allowed senders."""

    SENDER_UNKNOWN = "sender_unknown"  # not on the list
    SENDER_UNPROVEN = "sender_unproven"  # on the list, and not proven: may be forged
    SENDER_UNCLEAR = "sender_unclear"  # From holds no address, or several
    DECLINED = "declined"  # by a person


class Disposition(StrEnum):
    """The fate of a part of a mail. Every part has exactly one."""

    DOCUMENT = "document"
    INLINE_IMAGE = "inline_image"
    SIGNATURE = "signature"
    CALENDAR = "calendar"
    LINK = "link"
    CONTAINER = "container"
    DUPLICATE_IN_MAIL = "duplicate_in_mail"
    REJECTED = "rejected"


class Rule(StrEnum):
    """The rule that decided on a part: the `reason` on the part's record. docs/documents.md describes each rule."""

    # document
    FILE = "file"
    MAIL_WITHOUT_DOCUMENTS = "mail_without_documents"
    BODY = "body"
    ENCRYPTED = "encrypted"
    UNREADABLE_CONTAINER = "unreadable_container"
    TOO_COSTLY = "too_costly"  # also of a rejected member, beside the container as a document
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
    AUTOMATIC = "automatic"
    UNREADABLE = "unreadable"
    UNKNOWN_ATTACHMENT_TYPE = "unknown_attachment_type"


# The version of the rules, on each mail's record. It rises with every change that would sort some mail differently.
RULES_VERSION = 2


class ActiveContent(StrEnum):
    """Content of a document that acts on opening, on the records of part and document. docs/documents.md has each."""

    EXECUTABLE = "executable"
    EXTERNAL_LINK = "external_link"
    MACROS = "macros"
    SCRIPT = "script"


class PassedOver(StrEnum):
    """The reason for which an upload address of a mail brought its tenant no copy."""

    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason code, not a password
    TENANT_INACTIVE = "tenant_inactive"
    ANOTHER_TENANT_FIRST = "another_tenant_first"  # INGEST_ROUTE is "first"


class Verdict(StrEnum):
    """The verdict on malware in a blob. NOT_SCANNED: no result yet; FAILED: the scanner gave the blob up."""

    NOT_SCANNED = "not_scanned"
    FAILED = "failed"
    CLEAN = "clean"
    MALICIOUS = "malicious"


class AnswerState(StrEnum):
    """The state of an answer after an attempt to send it. QUEUED: another attempt follows; IN_DOUBT: perhaps sent."""

    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"


class AnswerKind(StrEnum):
    """The subject of an answer to a sender. A tenant wants each by itself; docs/answers.md describes each."""

    RECEIVED = "received"
    NO_SUCH_ADDRESS = "no_such_address"
    TENANT_INACTIVE = "tenant_inactive"
    NOTHING_USABLE = "nothing_usable"
    TOO_LARGE = "too_large"
    ENCRYPTED = "encrypted"
    DANGEROUS_TYPE = "dangerous_type"
    AWAITS_APPROVAL = "awaits_approval"
