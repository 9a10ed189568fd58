"""Failed calls to Graph: what an error answer means, and when the call is tried again.

https://learn.microsoft.com/graph/throttling, https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ingest import log
from ingest.errors import (
    GraphForbidden,
    GraphRefused,
    GraphServerError,
    GraphThrottled,
    GraphUnavailable,
    Later,
    NotFound,
)

TOTAL_SECONDS = 90.0  # of one call with its retries: far below the queue's lease and the claim's
MAX_ATTEMPTS = 6
MAX_BACKOFF_SECONDS = 20.0

# Graph answers a second DELETE by immutable id with this code: the first DELETE put the item where no client may
# delete, and the id still finds the item there. Seen in the field, not documented.
CANNOT_DELETE = "ErrorCannotDeleteObject"
NO_CODE = "without an error code"
# Exchange's codes for an item that it can't convert or read. A new attempt of the call helps only now and then.
UNREADABLE_CODES = frozenset(
    {
        "ErrorContentConversionFailed",
        "ErrorCorruptData",
        "ErrorInvalidMimeContent",
        "ErrorItemCorrupt",
        "ErrorMimeContentConversionFailed",
        "ErrorMimeContentInvalid",
    }
)
# Graph's 400 for an id that cannot exist. Treated as not found; retrying is pointless.
_IMPOSSIBLE_ID = "ErrorInvalidIdMalformed"
# Codes of a 404 that is about the whole mailbox (no licence, or being moved). A proxy's 404 has no code.
_MAILBOX_AWAY = frozenset(
    {
        "ErrorInvalidUser",
        "ErrorNonExistentMailbox",
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotSupportedForRESTAPI",
        "Request_ResourceNotFound",
        NO_CODE,
    }
)
_CONFLICTS = frozenset({"ErrorIrresolvableConflict"})  # 409: another client changed the item at the same time
# 412 means that the item changed meanwhile. These pass by themselves, as every server error (5xx) does.
_TRANSIENT = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An answer, or the lack of one, that is worth another attempt.

    `status`: of the answer, where there was one. `retry_after`: seconds that Graph asked for. `fresh_token`: Graph
    refused the token.
    """

    cause: str
    status: int | None = None
    retry_after: float | None = None
    fresh_token: bool = False


def judge(operation: str, status: int, code: str, headers: Mapping[str, str]) -> Failure:
    """Return the failure that an error answer is. `code` is Graph's error code, NO_CODE where there is none.

    Raises NotFound, GraphForbidden, GraphUnavailable or GraphRefused where another attempt would change nothing.
    """
    cause = f"{status} {code}"
    if status < HTTPStatus.BAD_REQUEST:
        # Graph does not redirect these calls. A proxy in between does, and gets no token from us.
        raise GraphUnavailable(f"{operation}: redirected with {status}")
    if status == HTTPStatus.UNAUTHORIZED:
        return Failure(cause=cause, fresh_token=True)
    if status == HTTPStatus.NOT_FOUND and code in _MAILBOX_AWAY:
        raise GraphUnavailable(f"{operation}: Graph answered {cause}; see `python -m ingest doctor`")
    if status == HTTPStatus.NOT_FOUND or code == _IMPOSSIBLE_ID:
        raise NotFound(f"{operation}: Graph answered {cause}")
    if status == HTTPStatus.FORBIDDEN and code != CANNOT_DELETE:
        # Configuration (a missing permission or scope), not the mail's fault: the mail waits until that is mended.
        raise GraphForbidden(f"{operation}: Graph answered {cause}; see `python -m ingest doctor`")
    if code in UNREADABLE_CODES:  # 500 or 400: about this item, not about Graph
        raise GraphRefused(operation, status, code)
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _CONFLICTS:
        return Failure(cause=cause, status=status, retry_after=retry_after_seconds(headers))
    raise GraphRefused(operation, status, code)


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return `Retry-After` in seconds: an integer, Graph's decimals (0.249), or an HTTP date (RFC 9110, 10.2.3).

    None where the header is missing or makes no sense.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the latter for years that no date has
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _error_of(failure: Failure) -> type[Later]:
    if failure.status == HTTPStatus.TOO_MANY_REQUESTS:
        return GraphThrottled
    return GraphServerError if failure.status == HTTPStatus.INTERNAL_SERVER_ERROR else GraphUnavailable


class Retries:
    """The attempts of one call: at most MAX_ATTEMPTS within TOTAL_SECONDS, and one fresh token."""

    def __init__(self, operation: str, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._operation = operation
        self._sleep = sleep
        self._clock = clock
        self._deadline = clock() + TOTAL_SECONDS
        self._attempt = 0
        self._had_fresh_token = False

    def wait_or_raise(self, failure: Failure) -> None:
        """Sleep until the next attempt. Raises GraphThrottled or GraphUnavailable where no attempt is left."""
        self._attempt += 1
        if failure.fresh_token:
            self._allow_fresh_token(failure)
            return
        wait = failure.retry_after
        if wait is None:
            # Full jitter, so that instances which failed together do not come back together.
            wait = random.uniform(0, min(MAX_BACKOFF_SECONDS, 0.5 * 2**self._attempt))  # noqa: S311 - no secret
        if self._attempt >= MAX_ATTEMPTS or self._clock() + wait > self._deadline:
            raise _error_of(failure)(
                f"{self._operation}: {failure.cause} after {self._attempt} attempts",
                retry_after=failure.retry_after,
            )
        event = "graph.throttled" if failure.status == HTTPStatus.TOO_MANY_REQUESTS else "graph.retry"
        log.info(
            event,
            operation=self._operation,
            cause=failure.cause,
            attempt=self._attempt,
            wait_seconds=round(wait, 3),
        )
        self._sleep(wait)

    def _allow_fresh_token(self, failure: Failure) -> None:
        if self._had_fresh_token:
            raise GraphUnavailable(f"{self._operation}: Graph refuses a fresh token ({failure.cause})")
        self._had_fresh_token = True
        log.info("graph.retry", operation=self._operation, cause=failure.cause, attempt=self._attempt)
