"""The receiving service's verdicts on a sender: the topmost Authentication-Results field (RFC 8601), if its own.

Any stranger can write such a field. The receiving service puts its own above all that came in, so only the topmost
field counts, and only where it bears the service's authserv-id. Exchange Online writes no such id: its field begins
with a result, and may hold a bare domain between two results.

https://datatracker.ietf.org/doc/html/rfc8601
https://learn.microsoft.com/defender-office-365/message-headers-eop-mdo
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.documents.headers.addresses import without_comments
from ingest.documents.headers.fields import MAX_TEXT, Headers
from ingest.documents.headers.sender_address import comparable_address, comparable_domain
from ingest.model.message import Authentication

_RESULT = re.compile(r"([a-z][a-z0-9-]{0,31})\s*(?:/\s*\d{1,9}\s*)?=\s*([a-z][a-z0-9]{0,31})(?=\s|$)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)([a-z][a-z.]{0,31})=(\S{1,255})", re.IGNORECASE)
_METHODS = frozenset({"dmarc", "spf", "dkim", "arc", "compauth"})
_REASON = re.compile(r"[0-9]{1,6}")
_PASS = "pass"  # noqa: S105 - a verdict
_FIELD = "authentication-results"
# An open quote takes the rest, as in an address list. Else each quote would be looked for to the end of the field.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    method: str
    verdict: str
    properties: dict[str, str]


def read_authentication(headers: Headers, *, service: str | None) -> Authentication:
    """Return the verdicts of the receiving service; none where the topmost field is not its own.

    `service`: its authserv-id; None for Exchange Online, which writes none. The sender is authenticated where DMARC
    passed for the domain of the one address in From, and proven where DMARC or compauth passed.
    """
    sender = _sender(headers)
    field = next(headers.raw(_FIELD), None)
    if field is None or len(field) > MAX_TEXT:
        return Authentication(sender_address=sender)
    pieces = list(_pieces(_without_comments(field.decode("ascii", "replace"))))
    results = _results(pieces, service)
    if not results:
        return Authentication(sender_address=sender)
    verdicts = {method: _verdict(results, method) for method in _METHODS}
    domain = next((one.properties.get("header.from") for one in results if one.method == "dmarc"), None)
    is_sender = sender is not None and domain is not None and sender.rpartition("@")[2] == comparable_domain(domain)
    reason = next((one.properties.get("reason") for one in results if one.method == "compauth"), None)
    return Authentication(
        dmarc=verdicts["dmarc"],
        spf=verdicts["spf"],
        dkim=verdicts["dkim"],
        arc=verdicts["arc"],
        compauth=verdicts["compauth"],
        compauth_reason=reason if reason is not None and _REASON.fullmatch(reason) else None,
        sender_authenticated=is_sender and verdicts["dmarc"] == _PASS,
        sender_proven=is_sender and _PASS in {verdicts["dmarc"], verdicts["compauth"]},
        sender_address=sender,
    )


def _results(pieces: list[str], service: str | None) -> list[_Result]:
    """Return the results that the service wrote; none where the field is of another one."""
    if service is None:
        if _result(pieces[0]) is None:
            return []
    elif pieces[0].lower().split()[:1] != [service.lower()]:
        return []
    return [result for piece in pieces if (result := _result(piece)) is not None]


def _result(piece: str) -> _Result | None:
    """Return `method=verdict property=value …`; None for anything else, such as a bare domain."""
    match = _RESULT.match(piece.strip())
    if match is None or match[1].lower() not in _METHODS:
        return None
    properties: dict[str, str] = {}
    for name, value in _PROPERTY.findall(piece.strip()[match.end() :]):
        properties.setdefault(name.lower(), value.lower())
    return _Result(method=match[1].lower(), verdict=match[2].lower(), properties=properties)


def _verdict(results: list[_Result], method: str) -> str | None:
    """Return the first verdict of a method; of several, such as of two signatures, `pass` where one passed."""
    found = [one.verdict for one in results if one.method == method]
    return _PASS if _PASS in found and method == "dkim" else next(iter(found), None)


def _sender(headers: Headers) -> str | None:
    """Return the one address in the one From field, as addresses are compared; None for none, several and a group."""
    fields = list(itertools.islice(headers.raw("from"), 2))
    if len(fields) != 1 or len(fields[0]) > MAX_TEXT:
        return None
    text = _QUOTED.sub("", fields[0].decode("latin-1"))
    if ":" in without_comments(text):  # a group, or a display name that may be one
        return None
    senders = headers.addresses("from")
    return comparable_address(senders[0]) if len(senders) == 1 else None


def _without_comments(text: str) -> str:
    """Return the text without comments, each of which leaves a blank; an open comment takes the rest."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and (depth or quoted):
            escaped = True
        elif quoted:
            quoted = character != '"'
        elif character == "(":
            depth += 1
            continue
        elif character == ")" and depth:
            depth -= 1
            kept.append(" ")
            continue
        elif character == '"' and not depth:
            quoted = True
        if not depth:
            kept.append(character)
    return "".join(kept)


def _pieces(text: str) -> Iterator[str]:
    """Yield what stands between semicolons; one inside quotes separates nothing."""
    begun, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            yield text[begun:position]
            begun = position + 1
    yield text[begun:]
