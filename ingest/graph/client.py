"""Microsoft Graph over HTTP: one way to send a request.

`ingest.graph.mailbox` and `subscriptions.calls` know what a request means. This module authenticates, limits time,
retries (`ingest.graph.retry`), and holds a mailbox's gate. Besides, only the credentials
and the Blob store import requests.

Facts: https://learn.microsoft.com/graph/outlook-immutable-id
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError

from ingest import log
from ingest.errors import ContentInterrupted, GraphThrottled, GraphUnavailable, InDoubt, Later
from ingest.graph.retry import NO_CODE, Failure, Retries, judge
from ingest.http_adapter import OneHostAdapter
from ingest.trace import span

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0  # between two bytes, not for a whole answer
STREAM_SECONDS = 480.0  # of one download, however slowly it drips: below the queue's lease of ten minutes
# A download that is slower than this is given up: it holds its place at the mailbox as long as its bytes need at that
# speed, and no longer.
STREAM_GRACE = 30.0  # seconds without any bytes
STREAM_RATE = 64 * 1024  # bytes a second
STREAM_BLOCK = 256 * 1024  # bytes handed on at once; nothing larger is held
POOL_SIZE = 32  # connections kept alive: more than the invocations one instance runs at a time

IMMUTABLE_IDS = 'IdType="ImmutableId"'

type Json = dict[str, Any]

# Its warnings quote headers of attachments and the paths of requests: a stranger's text, and addresses of mailboxes.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class TokenSource(Protocol):
    """The source of bearer tokens."""

    def token(self) -> str:
        """Return a token that is valid now. Raises GraphUnavailable."""

    def forget(self) -> None:
        """Drop the cached token, which Graph has refused."""


class Gate(Protocol):
    """A limit on the requests to one mailbox that run at the same time."""

    def __call__(self, mailbox: str) -> AbstractContextManager[None]:
        """Enter the gate for the duration of one request. Raises Later when no place came free in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A successful answer: `body` is the JSON object, empty where there was none (204)."""

    status: int
    body: Json


class GraphClient:
    """A client of Graph: requests are authenticated, timed, retried, and wait at the mailbox's gate."""

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
        """`transport`: carries requests in place of the network. `clock`: seconds, for time limits."""
        self._base_url = base_url
        self._tokens = tokens
        self._gate = gate or (lambda _mailbox: nullcontext())
        self._sleep = sleep
        self._clock = clock
        # No session: it would parse, merge and copy the same settings for each request. Proxies and CA bundle are read
        # from the environment once.
        self._transport = transport or OneHostAdapter(base_url, connections=POOL_SIZE)
        with requests.Session() as session:
            surroundings = session.merge_environment_settings(base_url, {}, stream=False, verify=None, cert=None)
        self._proxies = surroundings["proxies"]
        self._verify = True if surroundings["verify"] is None else surroundings["verify"]

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

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
        """Make one call with its retries. `path` is below the base URL, or a nextLink taken verbatim.

        `operation` names the call in logs and traces. Raises NotFound (404), GraphRefused (other 4xx),
        GraphThrottled, GraphUnavailable.
        """
        wanted = _Request(operation=operation, method=method, path=path, mailbox=mailbox, params=params, body=body)
        with self._open(wanted) as (response, leave_gate):
            leave_gate()
            if not response.content:
                return Answer(status=response.status_code, body={})
            try:
                value = response.json()
            except ValueError:
                raise GraphUnavailable(f"{operation}: the answer is not JSON") from None
            return Answer(status=response.status_code, body=value if isinstance(value, dict) else {})

    def post_once(self, operation: str, path: str, content: bytes, *, mailbox: str) -> None:
        """Post a text once: a second attempt could have its effect twice.

        Raises InDoubt where Graph may have taken the content; else nothing was taken: GraphRefused and NotFound (4xx),
        GraphForbidden, GraphThrottled, GraphUnavailable (no token), Later (no place at the gate).
        """
        wanted = _Request(operation=operation, method="POST", path=path, mailbox=mailbox, content=content)
        for fresh in (False, True):
            prepared = self._prepared(wanted)
            with self._gate(mailbox):
                result = self._send(wanted, prepared)
            if isinstance(result, requests.Response):
                result.close()
                return
            if result.fresh_token and not fresh:
                self._tokens.forget()
                continue
            raise _judged_once(operation, result)

    @contextmanager
    def stream(self, operation: str, path: str, *, mailbox: str) -> Iterator[Iterator[bytes]]:
        """Open a `$value` and yield its bytes, in blocks of at most STREAM_BLOCK.

        Raises as `request` on opening, and ContentInterrupted while reading: then all of the content is void.
        """
        wanted = _Request(operation=operation, method="GET", path=path, mailbox=mailbox, streamed=True)
        with self._open(wanted) as (response, leave_gate):
            yield _blocks(operation, response, leave_gate, self._clock)

    @contextmanager
    def _open(self, wanted: _Request) -> Iterator[tuple[requests.Response, Callable[[], None]]]:
        """Yield a successful response, and the function that leaves the gate.

        The caller leaves the gate with the content's last byte: at the end of the block, the content may still be
        on its way to Blob.
        """
        retries = Retries(wanted.operation, self._sleep, self._clock)
        while True:
            prepared = self._prepared(wanted)  # outside of the gate, which is for Graph's own work
            with ExitStack() as place:
                if wanted.mailbox is not None:
                    place.enter_context(self._gate(wanted.mailbox))
                result = self._send(wanted, prepared)
                if isinstance(result, requests.Response):
                    with result:
                        yield result, place.close
                    return
            if result.fresh_token:
                self._tokens.forget()
            retries.wait_or_raise(result)

    def _prepared(self, wanted: _Request) -> requests.PreparedRequest:
        headers = {
            "Authorization": f"Bearer {self._tokens.token()}",
            "Prefer": IMMUTABLE_IDS,
            "Accept": "*/*" if wanted.streamed else "application/json",
            # Not encoded, Content-Length is the length of a streamed content.
            "Accept-Encoding": "identity" if wanted.streamed else "gzip, deflate",
        }
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = wanted.method, self._url(wanted)
        if wanted.params is not None or prepared.url == wanted.path:
            try:
                prepared.prepare_url(prepared.url, wanted.params)
            except requests.RequestException as error:  # a nextLink that is no address
                raise GraphUnavailable(f"{wanted.operation}: {log.describe(error)}") from None
        if wanted.body is not None:
            prepared.body = json.dumps(wanted.body).encode()
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(prepared.body))}
        if wanted.content is not None:
            prepared.body = wanted.content
            headers |= {"Content-Type": "text/plain", "Content-Length": str(len(wanted.content))}
        prepared.headers = headers  # type: ignore[assignment]  # a plain dict will do: OneHostAdapter
        return prepared

    def _send(self, wanted: _Request, prepared: requests.PreparedRequest) -> requests.Response | Failure:
        try:
            with span(f"graph.{wanted.operation}"):
                response = self._transport.send(
                    prepared,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    stream=wanted.streamed,
                    verify=self._verify,
                    proxies=self._proxies,
                )
                if not wanted.streamed:
                    response.content  # noqa: B018 - read here, where a broken answer is a failure of the request
        except (requests.RequestException, HTTPError, OSError) as error:
            return Failure(cause=log.describe(error))
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return response
        with response:
            return judge(wanted.operation, response.status_code, _error_code(response), response.headers)

    def _url(self, wanted: _Request) -> str:
        if not wanted.path.startswith("https://"):
            return f"{self._base_url}{wanted.path}"
        if urlsplit(wanted.path).netloc != urlsplit(self._base_url).netloc:
            raise GraphUnavailable(f"{wanted.operation}: nextLink leads to another host, which gets no token")
        return wanted.path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """A request to send. `operation` is the name in logs and traces; a `mailbox` has a gate."""

    operation: str
    method: str
    path: str
    mailbox: str | None
    params: Mapping[str, str] | None = None
    body: Json | None = None
    streamed: bool = False
    content: bytes | None = None


def _judged_once(operation: str, failure: Failure) -> Later:
    """Return the error of a request that is not tried again."""
    if failure.fresh_token:
        return GraphUnavailable(f"{operation}: Graph refuses a fresh token ({failure.cause})")
    if failure.status == HTTPStatus.TOO_MANY_REQUESTS:
        return GraphThrottled(f"{operation}: {failure.cause}", retry_after=failure.retry_after)
    return InDoubt(f"{operation}: {failure.cause}")


def _error_code(response: requests.Response) -> str:
    """Return Graph's error code, the one thing of an error body that is not prose."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError, requests.RequestException, HTTPError):
        return NO_CODE
    return str(code)[:100]


def _blocks(
    operation: str, response: requests.Response, leave_gate: Callable[[], None], clock: Callable[[], float]
) -> Iterator[bytes]:
    received = 0
    began = clock()
    block = bytearray()
    encoded = "Content-Encoding" in response.headers  # although none was asked for
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdigit() else None
    if expected is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        # The end of the connection would be the end of the content: one that broke off would look whole.
        raise GraphUnavailable(f"{operation}: the answer says neither its length nor that it comes in chunks")
    try:
        with span(f"graph.{operation}.content"):
            # What has come, and no waiting for a whole block: a stream that drips is seen as soon as it does.
            while some := response.raw.read1(STREAM_BLOCK - len(block), decode_content=encoded):
                block += some
                received += len(some)
                seconds = clock() - began
                if seconds > min(STREAM_SECONDS, STREAM_GRACE + received / STREAM_RATE):
                    # Not ContentInterrupted: a new attempt at once would outlast the invocation.
                    raise GraphUnavailable(f"{operation}: {received} bytes in {seconds:.0f} seconds, too slow")
                if received == expected:
                    leave_gate()  # before the caller works on the last block
                if len(block) == STREAM_BLOCK or received == expected:
                    yield bytes(block)
                    block.clear()
            if block:
                yield bytes(block)
    except (requests.RequestException, HTTPError, OSError) as error:
        raise ContentInterrupted(f"{operation}: broke off after {received} bytes ({log.describe(error)})") from None
    leave_gate()
    if expected is not None and expected != received:
        raise ContentInterrupted(f"{operation}: {received} of {expected} bytes")
