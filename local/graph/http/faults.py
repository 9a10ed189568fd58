"""Faults on purpose: rules that make some requests fail, and a count of what they did."""

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

from local.graph.http.errors import GraphError
from local.graph.mail.exchange import Json

# The connection: reset: it breaks before the request has any effect; lost: after it; truncate: within the body of
# the answer; slow: the answer takes `seconds` longer.
# Content ($value): empty: 200 with 0 bytes; headerless: 200 with a mail that begins with the blank line after its
# header; bare_500: a streamed 500 without a code.
# Lists: no_next_link: a page lacks the link to the next one; no_id, null_fields, error_item: the first item of a page
# has no id, has null in each other property, is an error in the place of an item.
type Breakage = Literal[
    "reset",
    "lost",
    "truncate",
    "slow",
    "empty",
    "headerless",
    "bare_500",
    "no_next_link",
    "no_id",
    "null_fields",
    "error_item",
]
_BREAKAGES: tuple[str, ...] = get_args(Breakage.__value__)

_ANSWERS: dict[int | str, tuple[int, str, str]] = {
    400: (400, "ErrorInvalidRequest", "The request is invalid."),
    401: (401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: (403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: (404, "ErrorItemNotFound", "The specified object was not found in the store."),
    409: (409, "ErrorFolderExists", "A folder with the specified name already exists."),
    412: (412, "ErrorIrresolvableConflict", "The change key passed in the request does not match."),
    429: (429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: (500, "InternalServerError", "An internal server error occurred. The operation failed."),
    502: (502, "BadGateway", "Failed to execute backend request."),
    503: (503, "ServiceUnavailable", "The service is temporarily unavailable. Please retry later."),
    504: (504, "UnknownError", "The gateway did not receive a timely response."),
    # Two of Exchange's own, by their code.
    "ErrorCorruptData": (500, "ErrorCorruptData", "Data is corrupt."),
    "ErrorMimeContentConversionFailed": (500, "ErrorMimeContentConversionFailed", "MIME content conversion failed."),
}
_THROTTLING = frozenset({429, 503})
_KEPT = frozenset({"id", "@odata.etag", "@odata.type"})
_BLANK_LINE = re.compile(rb"\r?\n(\r?\n)")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A kind of request that fails, and the failure.

    `kinds` are HTTP status numbers, codes of Exchange or breakages; one is drawn for each request that is hit.
    `method` and `path` are regular expressions that must match somewhere (`path` is the decoded path below the
    version, with its leading slash). `limit` ends the rule after so many hits. `seconds` is how slow a slow one is.
    429 and 503 bring a Retry-After of whole seconds, a decimal, or none, never above `retry_after`.
    """

    kinds: tuple[int | str, ...]
    probability: float = 1.0
    seed: int = 0
    method: str = ""
    path: str = ""
    limit: int | None = None
    seconds: float = 2.0
    retry_after: float = 1.0

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in _ANSWERS and kind not in _BREAKAGES]
        if unknown or not self.kinds:
            raise ValueError(f"kinds must be of {[*_ANSWERS, *_BREAKAGES]}, not {unknown}")
        re.compile(self.method)
        re.compile(self.path)


@dataclass(frozen=True, kw_only=True)
class Injection:
    """The fault of one request."""

    error: GraphError | None = None
    breakage: str | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Active:
    rule: Rule
    random: random.Random
    left: int | None
    hits: int = field(default=0)


class Faults:
    """All rules; the first that hits a request decides."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._active: list[_Active] = []

    def add(self, rule: Rule) -> None:
        """From the next request on."""
        # Replayable from its seed: that is what the rule is for.
        self._active.append(_Active(rule, random.Random(rule.seed), rule.limit))  # noqa: S311 - see above

    def clear(self) -> None:
        """No rules any more; the counters stay."""
        self._active.clear()

    def choose(self, method: str, path: str) -> Injection | None:
        """Decide what the next request suffers, if anything."""
        for active in self._active:
            rule = active.rule
            if active.left == 0 or not re.search(rule.method, method) or not re.search(rule.path, path):
                continue
            if active.random.random() >= rule.probability:
                continue
            if active.left is not None:
                active.left -= 1
            kind = active.random.choice(rule.kinds)
            self.counters[str(kind)] += 1
            if kind in _ANSWERS:
                return Injection(error=_error(kind, rule, active.random))
            return Injection(breakage=str(kind), seconds=rule.seconds if kind == "slow" else 0.0)
        return None


def spoil(body: Json, breakage: str | None) -> None:
    """Do to the JSON of an answer what the breakage says; an answer that is no list, or is empty, stays as it is."""
    if breakage == "no_next_link":
        body.pop("@odata.nextLink", None)
    items = body.get("value")
    if not isinstance(items, list) or not items:
        return
    if breakage == "no_id":
        items[0] = {name: value for name, value in items[0].items() if name != "id"}
    elif breakage == "null_fields":
        items[0] = {name: value if name in _KEPT else None for name, value in items[0].items()}
    elif breakage == "error_item":
        items[0] = {"error": {"code": "ErrorItemNotFound", "message": _ANSWERS[404][2]}}


def without_header(mime: bytes) -> bytes:
    """Return a mail from the blank line after its header on."""
    found = _BLANK_LINE.search(mime)
    return mime[found.start(1) :] if found else b""


def _error(kind: int | str, rule: Rule, draw: random.Random) -> GraphError:
    status, code, message = _ANSWERS[kind]
    headers = {}
    if status in _THROTTLING:
        seconds = draw.choice((str(max(1, round(rule.retry_after))), f"{draw.uniform(0, rule.retry_after):.3f}", None))
        if seconds is not None:
            headers["Retry-After"] = seconds
    return GraphError(status, code, message, headers=headers)
