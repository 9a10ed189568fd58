"""The rules for parts: documents, and reasons for all that is none. Pure: decided from the facts about a content.

docs/documents.md has the same rules for readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.codes import Disposition, Rule
from ingest.documents import media_types
from ingest.documents.headers.addresses import without_comments
from ingest.documents.headers.fields import Headers
from ingest.documents.headers.parameters import parse_parameters
from ingest.documents.unpacking.container import Member

_UNPACKED = {
    media_types.MAIL: Rule.ATTACHED_MAIL,
    media_types.OUTLOOK_MESSAGE: Rule.ATTACHED_MAIL,
    media_types.ZIP: Rule.ZIP_ARCHIVE,
    media_types.TNEF: Rule.WINMAIL_DAT,
    media_types.SIGNED: Rule.SIGNED_MAIL,
}
_SIGNATURES = {
    media_types.SMIME_SIGNATURE: Rule.SMIME_SIGNATURE,
    media_types.PGP_SIGNATURE: Rule.PGP,
    media_types.PGP_KEYS: Rule.PGP,
    media_types.PGP_CONTROL: Rule.PGP,
    media_types.VCARD: Rule.VCARD,
}
_ENCRYPTED = frozenset(
    {
        media_types.CMS_ENCRYPTED,
        media_types.PGP_ENCRYPTED,
        media_types.ENCRYPTED_OFFICE,
        media_types.RIGHTS_PROTECTED,
    }
)
# The name that Exchange gives to a text that is no file: the text behind an attachment in Apple Mail, and the footers
# of mailing lists.
_BODY_PART = re.compile(r"ATT\d{5}\.(txt|html?)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Facts about a part. `shown`: the mail's body shows the part. `seen`: the mail has had the same content.

    `is_text`: a piece of the mail's text that is no file.
    """

    name: str
    media_type: str
    dangerous: bool
    size: int
    shown: bool
    seen: bool
    is_text: bool = False


type Decision = tuple[Disposition, Rule]


def decide(facts: Facts) -> Decision:
    """Return disposition and rule of a part. A container may still turn out to be none on opening."""
    return _refused(facts) or _not_a_document(facts) or _document_or_container(facts)


def _refused(facts: Facts) -> Decision | None:
    if facts.size == 0:
        return Disposition.REJECTED, Rule.EMPTY
    if facts.dangerous:
        return Disposition.REJECTED, Rule.DANGEROUS_TYPE
    if facts.media_type in {media_types.APPLE_DOUBLE, media_types.FINDER_STORE}:
        return Disposition.REJECTED, Rule.SYSTEM_FILE
    if facts.is_text:
        return Disposition.REJECTED, Rule.BODY_PART
    if _BODY_PART.fullmatch(facts.name) and facts.media_type in {media_types.TEXT, "text/html"}:
        return Disposition.REJECTED, Rule.BODY_PART
    return None


def _not_a_document(facts: Facts) -> Decision | None:
    if facts.shown and facts.media_type.startswith("image/"):
        return Disposition.INLINE_IMAGE, Rule.SHOWN_IN_BODY
    if facts.media_type in _SIGNATURES:
        return Disposition.SIGNATURE, _SIGNATURES[facts.media_type]
    if facts.media_type == media_types.CALENDAR:
        return Disposition.CALENDAR, Rule.ICALENDAR
    if facts.seen:
        return Disposition.DUPLICATE_IN_MAIL, Rule.SAME_CONTENT
    return None


def _document_or_container(facts: Facts) -> Decision:
    if facts.media_type in _UNPACKED:
        return Disposition.CONTAINER, _UNPACKED[facts.media_type]
    if facts.media_type in _ENCRYPTED:
        return Disposition.DOCUMENT, Rule.ENCRYPTED
    return Disposition.DOCUMENT, Rule.FILE


def decide_mail_without_documents(headers: Headers) -> Decision:
    """Return disposition and rule of a mail without another document in it. `headers`: of the mail."""
    if is_automatic(headers):
        return Disposition.REJECTED, Rule.AUTOMATIC
    return Disposition.DOCUMENT, Rule.MAIL_WITHOUT_DOCUMENTS


def is_automatic(headers: Headers) -> bool:
    """Return whether a program wrote the mail as an answer: a bounce, a receipt, an absence notice.

    RFC 3834, 5: `Auto-Submitted` other than `no`. RFC 6522: multipart/report. RFC 5321, 4.5.5: an empty return path.
    `X-Auto-Response-Suppress` and `Precedence` are no proof: programs for invoices and lists set them too.
    """
    if any(parse_parameters(raw).main not in {"", "no"} for raw in headers.raw("auto-submitted")):
        return True
    if any(parse_parameters(raw).main == "multipart/report" for raw in headers.raw("content-type")):
        return True
    return any(without_comments(path).strip() == "<>" for path in headers.get_all("return-path"))


def full_name(member: Member, number: int, media_type: str) -> str:
    """Return the file name of a part, which is never empty. `number`: of the part, for a name that says no more."""
    if member.name and not member.lacks_extension:
        return member.name
    extension = media_types.extension(media_type, member.declared_type)
    stem = member.name or f"ATT{number:05}"
    return stem if stem.lower().endswith(extension) else f"{stem}{extension}"


# Safe Attachments with Dynamic Delivery delivers the mail with a placeholder for each attachment that it still scans:
# a file or an attached mail of one of these names, in lower case.
# https://learn.microsoft.com/defender-office-365/safe-attachments-about
_PLACEHOLDERS = frozenset({"safe attachments scan in progress", "atp scan in progress"})


def is_placeholder(name: str) -> bool:
    """Return whether an attachment's name is that of a placeholder, which its content replaces later."""
    return name.strip().lower().removesuffix(".eml").rstrip() in _PLACEHOLDERS
