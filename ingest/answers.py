"""The answer that a mail may get: to whom, of which kind, with what of the mail in it. Pure.

An answer goes to a proved sender only, and never to a program: an answer to a forged sender is spam, and two programs
that answer each other never end. RFC 3834 has most of these rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ingest.codes import AnswerKind, Disposition, Reason, Rule
from ingest.documents.headers.fields import Headers
from ingest.documents.rules import is_automatic
from ingest.model.answer import Answer, AnswerTarget
from ingest.model.message import Authentication
from ingest.model.part import Part

MAX_SUBJECT = 200  # characters
MAX_NAME = 100  # characters of a file's name
MAX_NAMES = 20  # of documents, and of refused parts
MAX_REFERENCES = 10  # Message-IDs that an answer repeats, the newest ones
# The local part of each answer's Message-ID: an answer to an answer is known by it.
MESSAGE_ID_MARK = "mail-entrance."
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_MAX_ADDRESS = 254  # characters, RFC 5321
# Not with the beginning of an encoded word, which a mail program decodes in a header.
_ID = re.compile(r"<(?![^<>]{0,250}=\?)[!-;=?-~]{1,250}>")
_OURS = re.compile(rf"<{re.escape(MESSAGE_ID_MARK)}[0-9a-f]{{32}}@")
_PROGRAMS = re.compile(
    r"(mailer-daemon|postmaster|bounces?|do-?not-?reply|no-?reply|daemon|root|auto(responder|reply)?)\b", re.IGNORECASE
)
# A mailing list, or a program that sends in bulk.
_BULK_HEADERS = ("list-id", "list-unsubscribe", "list-help", "feedback-id", "x-autoreply", "x-autorespond")
_GERMAN_DOMAINS = (".de", ".at", ".ch", ".li")
_REASONS = {
    Reason.NO_TOKEN: AnswerKind.NO_SUCH_ADDRESS,
    Reason.UNKNOWN_TOKEN: AnswerKind.NO_SUCH_ADDRESS,
    Reason.TENANT_INACTIVE: AnswerKind.TENANT_INACTIVE,
}
_REFUSALS = {
    Rule.DANGEROUS_TYPE: AnswerKind.DANGEROUS_TYPE,
    Rule.TOO_LARGE: AnswerKind.TOO_LARGE,
    Rule.TOO_MANY: AnswerKind.TOO_LARGE,
    Rule.TOO_DEEP: AnswerKind.TOO_LARGE,
}
_NO_FILE = frozenset({Rule.MAIL_WITHOUT_DOCUMENTS, Rule.BODY})


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAddresses:
    """Our own addresses. `domains`: of upload addresses, in lower case. `is_upload`: whether an address is one."""

    addresses: AbstractSet[str]
    domains: AbstractSet[str]
    is_upload: Callable[[str], bool]

    def has(self, address: str) -> bool:
        """Return whether an address is one of ours, or of our domains."""
        lower = address.lower()
        return lower in self.addresses or lower.rpartition("@")[2] in self.domains or self.is_upload(lower)


def target_of(
    headers: Headers, authentication: Authentication, subject: str, recipients: Sequence[str], own: OwnAddresses
) -> AnswerTarget | None:
    """Return the sender that an answer to a mail goes to; None where the sender gets none.

    None without DMARC's proof of the one address in From; for mail of a program, a list or ourselves; for an answer to
    one of our answers, by its Message-ID and by the address that the answers come from.
    """
    senders = headers.addresses("from")
    if not authentication.sender_authenticated or len(senders) != 1:
        return None
    (sender,) = senders
    if len(sender) > _MAX_ADDRESS or not _ADDRESS.fullmatch(sender) or _PROGRAMS.match(sender) or own.has(sender):
        return None
    references = _ids(headers, "references")
    answered = (*references, *_ids(headers, "in-reply-to"))
    if any(_OURS.match(one) for one in answered) or any(one.lower() in own.addresses for one in recipients):
        return None
    if is_automatic(headers) or _is_bulk(headers):
        return None
    return AnswerTarget(
        recipient=sender,
        message_id=next(iter(_ids(headers, "message-id")), None),
        references=references[-MAX_REFERENCES:],
        subject=fit(subject, MAX_SUBJECT),
        language=_language(headers, sender),
    )


def answer_to_rejected(target: AnswerTarget | None, reason: Reason) -> Answer | None:
    """Return the answer to a mail without a tenant; None where its reason has none."""
    kind = _REASONS.get(reason)
    return None if target is None or kind is None else Answer(target=target, kinds=(kind,))


def answer_to_stored(target: AnswerTarget | None, parts: Sequence[Part]) -> Answer | None:
    """Return the answer to a stored mail. The kind that says most of what went wrong comes first."""
    if target is None:
        return None
    documents = [p for p in parts if p.disposition is Disposition.DOCUMENT and p.rule not in _NO_FILE]
    refused = [p for p in parts if p.disposition is Disposition.REJECTED and p.rule in _REFUSALS]
    found = {_REFUSALS[part.rule] for part in refused}
    if any(part.encrypted or part.rule is Rule.ENCRYPTED for part in documents):
        found.add(AnswerKind.ENCRYPTED)
    troubles = [kind for kind in _BY_WEIGHT if kind in found]
    return Answer(
        target=target,
        kinds=(*troubles, AnswerKind.RECEIVED if documents else AnswerKind.NOTHING_USABLE),
        documents=tuple(fit(part.name, MAX_NAME) for part in documents[:MAX_NAMES]),
        refused=tuple((fit(part.name, MAX_NAME), part.rule) for part in refused[:MAX_NAMES]),
    )


_BY_WEIGHT = (AnswerKind.DANGEROUS_TYPE, AnswerKind.TOO_LARGE, AnswerKind.ENCRYPTED)


def fit(text: str, most: int) -> str:
    """Return a stranger's text on one line, without control and direction characters, at most `most` characters."""
    line = " ".join(text.split())
    return "".join(char for char in line if char.isprintable())[:most]


def _is_bulk(headers: Headers) -> bool:
    if any(name in headers for name in _BULK_HEADERS):
        return True
    if any(value.strip().lower() in {"bulk", "junk", "list"} for value in headers.get_all("precedence")):
        return True
    # Exchange's word to programs that answer. https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcmail
    return any(value.strip().lower() not in {"", "none"} for value in headers.get_all("x-auto-response-suppress"))


def _ids(headers: Headers, name: str) -> tuple[str, ...]:
    return tuple(found for text in headers.get_all(name) for found in _ID.findall(text))


def _language(headers: Headers, sender: str) -> str:
    """Return `de` or `en`: by the language that the mail program names, else by the sender's country, else English."""
    for name in ("content-language", "accept-language"):
        for text in headers.get_all(name):
            code = text.strip()[:2].lower()
            if code in {"de", "en"}:
                return code
    return "de" if sender.lower().endswith(_GERMAN_DOMAINS) else "en"
