"""Microsoft Graph over HTTP: the app's token, and one way to send a request.

What a request means stands in `ingest.graph.mailbox` and `subscriptions.calls`; here are authentication, time limits,
retries, throttling and the shape of errors.

Facts: https://learn.microsoft.com/graph/throttling, https://learn.microsoft.com/graph/errors,
https://learn.microsoft.com/graph/outlook-immutable-id
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, override
from urllib.parse import urlsplit

import msal
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import HTTPError

from ingest import log
from ingest.errors import ContentInterrupted, GraphForbidden, GraphRefused, GraphThrottled, GraphUnavailable, NotFound
from ingest.trace import span

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0  # between two bytes, not for a whole answer
TOTAL_SECONDS = 90.0  # of one call with its retries: far below the queue's lease and the claim's
MAX_ATTEMPTS = 6
MAX_BACKOFF_SECONDS = 20.0
STREAM_SECONDS = 480.0  # of one download, however slowly it drips: below the queue's lease of ten minutes
STREAM_BLOCK = 256 * 1024  # bytes handed on at once; nothing larger is held
POOL_SIZE = 32  # connections kept alive: more than the invocations one instance runs at a time

IMMUTABLE_IDS = 'IdType="ImmutableId"'
_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_NOT_FOUND = 404
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_THROTTLED = 429
# 408, 412 (changed meanwhile) and 423 (locked) pass by themselves, as whatever a server says of itself (5xx) does.
_TRANSIENT = frozenset({408, 412, 423, 429})

# What a second DELETE by immutable id answers: the first has put the item where nobody may delete it, and where
# its id still finds it. Seen in the field, not documented.
CANNOT_DELETE = "ErrorCannotDeleteObject"
# What Graph says (400) of an id that none of its messages can have: there is nothing to come back for.
_NO_ID = "ErrorInvalidIdMalformed"
_NO_CODE = "without an error code"
# What Graph, or somebody before it, says (404) of a whole mailbox: it has no licence, or is being moved.
_NOBODY = frozenset(
    {
        "ErrorInvalidUser",
        "ErrorNonExistentMailbox",
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotSupportedForRESTAPI",
        "Request_ResourceNotFound",
        _NO_CODE,
    }
)
_CONFLICTS = frozenset({"ErrorIrresolvableConflict"})  # 409: somebody changed the item at the same time

type Json = dict[str, Any]


class TokenSource(Protocol):
    """Where bearer tokens come from."""

    def token(self) -> str:
        """A token that is valid now. Raises GraphUnavailable."""

    def forget(self) -> None:
        """Drop the cached token, which Graph has refused."""


class Gate(Protocol):
    """Lets only so many requests to one mailbox run at a time."""

    def __call__(self, mailbox: str) -> AbstractContextManager[None]:
        """Entered for the duration of one request. Raises Later when there was no room in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A successful answer: `body` is the JSON object, empty where there was none (204)."""

    status: int
    body: Json


class ClientCredentials:
    """The app's own identity, by MSAL: one client a process, tokens in its memory cache and nowhere else.

    With a certificate, `certificate` is the path of a PEM that holds the private key and the certificate.
    https://learn.microsoft.com/entra/msal/python/
    """

    def __init__(
        self,
        *,
        client_id: str,
        tenant_id: str,
        authority_host: str,
        graph_base_url: str,
        secret: str | None,
        certificate: str | None,
    ) -> None:
        parts = urlsplit(graph_base_url)
        self._scopes = [f"{parts.scheme}://{parts.netloc}/.default"]
        self._client_id = client_id
        self._authority = f"{authority_host}/{tenant_id}"
        self._secret = secret
        self._certificate = certificate
        self._client: msal.ConfidentialClientApplication | None = None
        self._lock = Lock()

    def token(self) -> str:
        """A token from the cache, or a new one. Raises GraphUnavailable with Entra's error code."""
        with self._lock:
            try:
                if self._client is None:
                    self._client = self._new_client()
                result = self._client.acquire_token_for_client(self._scopes)
            except (OSError, ValueError, requests.RequestException) as error:
                # MSAL says ValueError where the authority's configuration can't be read.
                raise GraphUnavailable(f"token endpoint: {log.describe(error)}") from None
        token = result.get("access_token") if isinstance(result, dict) else None
        if not isinstance(token, str):
            raise GraphUnavailable(_token_error(result))
        return token

    def forget(self) -> None:
        """Empty the cache, so that the next `token` is a fresh one."""
        with self._lock:
            if self._client is not None:
                self._client.remove_tokens_for_client()

    def _new_client(self) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            self._client_id,
            client_credential=self._credential(),
            authority=self._authority,
            # The authority is configured, not guessed: asking Microsoft's public cloud about it would break
            # other clouds and local endpoints.
            instance_discovery=False,
            timeout=READ_SECONDS,
        )

    def _credential(self) -> str | dict[str, str]:
        if self._certificate is None:
            return self._secret or ""
        try:
            pem = Path(self._certificate).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise GraphUnavailable(f"AZURE_INGEST_CLIENT_CERTIFICATE can't be read: {log.describe(error)}") from None
        return {"private_key": pem, "public_certificate": pem}


def _token_error(result: object) -> str:
    """Entra's error by its codes: descriptions quote ids and are for Entra's own log."""
    fields = result if isinstance(result, dict) else {}
    codes = ", ".join(f"AADSTS{code}" for code in fields.get("error_codes", ()))
    return (
        f"token endpoint refused the app: {fields.get('error', 'no access_token')}"
        f"{f' ({codes})' if codes else ''}, correlation id {fields.get('correlation_id', 'unknown')}"
    )


class _BearerAuth(requests.auth.AuthBase):
    """Sets the header as an auth object, so that a .netrc entry for Graph's host can't replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Network(HTTPAdapter):
    """Tells a pool of connections once what to check certificates with, and does not look for that file again.

    requests looks for it before every request. A file that isn't there is an error of the connection here.
    """

    @override
    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """As in requests, for a pool that has not been told yet."""
        if conn.ca_certs is None and conn.ca_cert_dir is None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # requests has no types for it


class GraphClient:
    """Sends requests to Graph: authenticated, timed, retried, and never more at once than a mailbox takes."""

    def __init__(
        self,
        *,
        base_url: str,
        tokens: TokenSource,
        gate: Gate | None = None,
        transport: BaseAdapter | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`transport`: what carries requests, where it is not the network. `clock`: seconds, for time limits."""
        self._base_url = base_url
        self._tokens = tokens
        self._gate = gate or (lambda _mailbox: nullcontext())
        self._sleep = sleep
        self._clock = clock
        self._session = requests.Session()
        network = _Network(pool_connections=2, pool_maxsize=POOL_SIZE, max_retries=0)
        self._session.mount("https://", transport or network)
        # Proxies and CA bundle are read from the environment once instead of on each request.
        surroundings = self._session.merge_environment_settings(base_url, {}, stream=False, verify=None, cert=None)
        self._session.trust_env = False
        self._session.verify = surroundings["verify"]
        self._session.proxies = surroundings["proxies"]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        mailbox: str | None = None,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Answer:
        """One call with its retries. `path` is below the base URL, or a nextLink taken verbatim.

        `operation` names the call in logs and traces. Raises NotFound (404), GraphRefused (other 4xx),
        GraphThrottled, GraphUnavailable.
        """
        wanted = _Request(operation=operation, method=method, path=path, mailbox=mailbox, params=params, body=body)
        with self._open(wanted) as (response, done):
            done()
            if not response.content:
                return Answer(status=response.status_code, body={})
            try:
                value = response.json()
            except ValueError:
                raise GraphUnavailable(f"{operation}: the answer is not JSON") from None
            return Answer(status=response.status_code, body=value if isinstance(value, dict) else {})

    @contextmanager
    def stream(self, operation: str, path: str, *, mailbox: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a `$value`, in blocks of at most STREAM_BLOCK, never a short read taken for whole.

        Raises what `request` raises on opening, and ContentInterrupted while reading: then all of it is void.
        """
        wanted = _Request(operation=operation, method="GET", path=path, mailbox=mailbox, streamed=True)
        with self._open(wanted) as (response, done):
            yield _blocks(operation, response, done, self._clock)

    @contextmanager
    def _open(self, wanted: _Request) -> Iterator[tuple[requests.Response, Callable[[], None]]]:
        """A successful response, and what to call once its content is read: then the gate is left.

        Not with the end of the block, in which the content may still be on its way to Blob.
        """
        retries = _Retries(wanted.operation, self._sleep, self._clock)
        while True:
            prepared = self._prepared(wanted)  # before the gate: a place is for what Graph has to do
            with ExitStack() as place:
                if wanted.mailbox is not None:
                    place.enter_context(self._gate(wanted.mailbox))
                trouble = self._send(wanted, prepared)
                if isinstance(trouble, requests.Response):
                    with trouble:
                        yield trouble, place.close
                    return
            if trouble.fresh_token:
                self._tokens.forget()
            retries.wait_or_raise(trouble)

    def _prepared(self, wanted: _Request) -> requests.PreparedRequest:
        headers = {"Prefer": IMMUTABLE_IDS, "Accept": "*/*" if wanted.streamed else "application/json"}
        if wanted.streamed:
            headers["Accept-Encoding"] = "identity"  # so that Content-Length is the length of the content
        request = requests.Request(
            wanted.method,
            self._url(wanted),
            params=wanted.params,
            json=wanted.body,
            headers=headers,
            auth=_BearerAuth(self._tokens.token()),
        )
        try:
            return self._session.prepare_request(request)
        except requests.RequestException as error:  # a nextLink that is no address
            raise GraphUnavailable(f"{wanted.operation}: {log.describe(error)}") from None

    def _send(self, wanted: _Request, prepared: requests.PreparedRequest) -> requests.Response | _Trouble:
        try:
            with span(f"graph.{wanted.operation}"):
                response = self._session.send(
                    prepared,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    stream=wanted.streamed,
                    allow_redirects=False,
                )
        except (requests.RequestException, HTTPError, OSError) as error:
            return _Trouble(cause=log.describe(error))
        if response.status_code < _REDIRECT:
            return response
        with response:
            return _judge(wanted.operation, response)

    def _url(self, wanted: _Request) -> str:
        if not wanted.path.startswith("https://"):
            return f"{self._base_url}{wanted.path}"
        if urlsplit(wanted.path).netloc != urlsplit(self._base_url).netloc:
            raise GraphUnavailable(f"{wanted.operation}: nextLink leads to another host, which gets no token")
        return wanted.path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """What is to be asked. `operation` is its name in logs and traces; a `mailbox` has a gate."""

    operation: str
    method: str
    path: str
    mailbox: str | None
    params: Mapping[str, str] | None = None
    body: Json | None = None
    streamed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trouble:
    """An answer, or the lack of one, that is worth another try."""

    cause: str
    throttled: bool = False
    retry_after: float | None = None
    fresh_token: bool = False


def _judge(operation: str, response: requests.Response) -> _Trouble:
    """What an error answer means. Raises where another try would change nothing."""
    status, code = response.status_code, _error_code(response)
    cause = f"{status} {code}"
    if status < _CLIENT_ERROR:
        # Graph does not redirect these calls: somebody in between does, and gets no token from us.
        raise GraphUnavailable(f"{operation}: redirected with {status}")
    if status == _UNAUTHORIZED:
        return _Trouble(cause=cause, fresh_token=True)
    if status == _NOT_FOUND and code in _NOBODY:
        # The whole mailbox can't be found (no licence, being moved): nothing of it is gone.
        raise GraphUnavailable(f"{operation}: Graph answered {cause}; see `python -m ingest doctor`")
    if status == _NOT_FOUND or code == _NO_ID:
        raise NotFound(f"{operation}: Graph answered {cause}")
    if status == _FORBIDDEN and code != CANNOT_DELETE:
        # Configuration (a missing permission or scope), not this mail's fault: it waits until that is mended.
        raise GraphForbidden(f"{operation}: Graph answered {cause}; see `python -m ingest doctor`")
    if status in _TRANSIENT or status >= _SERVER_ERROR or code in _CONFLICTS:
        return _Trouble(cause=cause, throttled=status == _THROTTLED, retry_after=retry_after_seconds(response.headers))
    raise GraphRefused(operation, status, code)


def _error_code(response: requests.Response) -> str:
    """Graph's error code: the one thing of an error body that is not prose."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError, requests.RequestException, HTTPError):
        return _NO_CODE
    return str(code)[:100]


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """`Retry-After` in seconds: an integer, Graph's decimals (0.249), or an HTTP date (RFC 9110, 10.2.3).

    None where it is missing or makes no sense.
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
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None  # noqa: PLR0124 - NaN


class _Retries:
    """How often and how long one call may be tried again."""

    def __init__(self, operation: str, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._operation = operation
        self._sleep = sleep
        self._clock = clock
        self._deadline = clock() + TOTAL_SECONDS
        self._attempt = 0
        self._had_fresh_token = False

    def wait_or_raise(self, trouble: _Trouble) -> None:
        self._attempt += 1
        if trouble.fresh_token:
            if self._had_fresh_token:
                raise GraphUnavailable(f"{self._operation}: Graph refuses a fresh token ({trouble.cause})")
            self._had_fresh_token = True
            log.info("graph.retry", operation=self._operation, cause=trouble.cause, attempt=self._attempt)
            return
        wait = trouble.retry_after
        if wait is None:
            # Full jitter, so that instances which failed together do not come back together.
            wait = random.uniform(0, min(MAX_BACKOFF_SECONDS, 0.5 * 2**self._attempt))  # noqa: S311 - no secret
        if self._attempt >= MAX_ATTEMPTS or self._clock() + wait > self._deadline:
            kind = GraphThrottled if trouble.throttled else GraphUnavailable
            raise kind(
                f"{self._operation}: {trouble.cause} after {self._attempt} attempts",
                retry_after=trouble.retry_after,
            )
        event = "graph.throttled" if trouble.throttled else "graph.retry"
        log.info(
            event,
            operation=self._operation,
            cause=trouble.cause,
            attempt=self._attempt,
            wait_seconds=round(wait, 3),
        )
        self._sleep(wait)


def _blocks(
    operation: str, response: requests.Response, done: Callable[[], None], clock: Callable[[], float]
) -> Iterator[bytes]:
    received = 0
    deadline = clock() + STREAM_SECONDS
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdigit() else None
    try:
        with span(f"graph.{operation}.content"):
            for block in response.iter_content(STREAM_BLOCK):
                received += len(block)
                if clock() > deadline:
                    # Not ContentInterrupted: starting over at once would outlast the invocation.
                    raise GraphUnavailable(f"{operation}: {received} bytes in {STREAM_SECONDS:g} seconds, too slow")
                if received == expected:
                    done()  # before the last block is worked on
                yield block
    except (requests.RequestException, HTTPError, OSError) as error:
        raise ContentInterrupted(f"{operation}: broke off after {received} bytes ({log.describe(error)})") from None
    done()
    if expected is not None and expected != received:
        raise ContentInterrupted(f"{operation}: {received} of {expected} bytes")
