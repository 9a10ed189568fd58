"""HTTP to one host by requests, on connections of the standard library.

Graph and Blob Storage are a host each, asked four times for a mail. For each request, requests and urllib3 parse and
encode the URL, look for the CA bundle on the disk, search the answer for cookies, and copy the headers twice. That is a
tenth of the processor time of a mail. An adapter is the documented way to carry requests otherwise.

https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
https://docs.python.org/3/library/http.client.html
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Literal, override
from urllib.parse import urlsplit
from weakref import finalize

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import ProtocolError
from urllib3.util import create_urllib3_context, wait_for_read

_AGENT = requests.utils.default_user_agent()


class OneHostAdapter(HTTPAdapter):
    """An adapter for the plain requests to one host: direct, with one set of certificates, and without cookies.

    Plain is a request that asks for no encoding. All others go the way of requests: through a proxy, to another host,
    with an encoded answer. Headers stay in the mappings of their makers; those of an answer are found in any case.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        """`url`: scheme and host, and a path that does not matter. `connections`: kept alive."""
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)
        parts = urlsplit(url)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname or "", parts.port
        self._root = f"{parts.scheme}://{parts.netloc}/"
        self._most = connections
        self._idle: deque[HTTPConnection] = deque()  # the last one used is taken first
        self._contexts: dict[str | Literal[True], ssl.SSLContext] = {}
        finalize(self, _close_all, self._idle)  # as urllib3 does for an adapter that was not closed

    @override
    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request and return the answer, unread. `timeout`: seconds to connect, and between two bytes.

        Raises requests.RequestException, as requests does.
        """
        url = request.url or ""
        plain = request.headers.get("Accept-Encoding", "identity") == "identity"
        if proxies or cert or not verify or not plain or not url.startswith(self._root):
            return super().send(request, stream, timeout, verify, cert, proxies)
        connection = self._idle_connection() or self._connected(request, timeout, verify)
        try:
            connection.request(
                request.method or "GET",
                url[len(self._root) - 1 :],
                body=request.body,
                headers={"User-Agent": _AGENT, **request.headers},
            )
            answer = connection.getresponse()
        except TimeoutError as error:
            connection.close()
            raise requests.ReadTimeout(error, request=request) from None
        except (OSError, HTTPException) as error:
            connection.close()
            raise requests.ConnectionError(ProtocolError(error), request=request) from None
        return self._response(request, connection, answer)

    @override
    def close(self) -> None:
        """Close the connections that no answer is read from."""
        super().close()
        _close_all(self._idle)

    def keep(self, connection: HTTPConnection) -> None:
        """Keep a connection whose last answer is read, for the next request."""
        if len(self._idle) < self._most:
            self._idle.append(connection)
        else:
            connection.close()

    def _idle_connection(self) -> HTTPConnection | None:
        """Return a connection that is kept, unless the server has closed it; None where there is none."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            # Nothing is asked, so that there is nothing to read but the end.
            if connection.sock is not None and not wait_for_read(connection.sock, timeout=0):
                return connection
            connection.close()
        return None

    def _connected(
        self, request: requests.PreparedRequest, timeout: tuple[float, float], verify: str | Literal[True]
    ) -> HTTPConnection:
        """Return a new connection. Raises requests.ConnectTimeout, SSLError and ConnectionError, and as `_context`."""
        to_connect, between_bytes = timeout
        connection = (
            HTTPSConnection(self._host, self._port, timeout=to_connect, context=self._context(verify))
            if self._scheme == "https"
            else HTTPConnection(self._host, self._port, timeout=to_connect)
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise _not_connected(error, request) from None
        connection.sock.settimeout(between_bytes)
        return connection

    def _context(self, verify: str | Literal[True]) -> ssl.SSLContext:
        """Return urllib3's TLS with the certificates that requests takes. Raises OSError for a missing bundle."""
        if verify not in self._contexts:
            bundle = Path(DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify))
            if not bundle.exists():
                raise OSError(f"Could not find a suitable TLS CA certificate bundle, invalid path: {bundle}")
            context = create_urllib3_context()
            context.set_alpn_protocols(["http/1.1"])
            context.load_verify_locations(
                cafile=None if bundle.is_dir() else bundle, capath=bundle if bundle.is_dir() else None
            )
            self._contexts[verify] = context
        return self._contexts[verify]

    def _response(
        self, request: requests.PreparedRequest, connection: HTTPConnection, answer: HTTPResponse
    ) -> requests.Response:
        raw = _Answer(self, connection, answer)
        response = requests.Response()
        response.status_code, response.reason, response.url = answer.status, answer.reason, request.url or ""
        response.headers = answer.headers  # type: ignore[assignment]  # a mapping that ignores case, too
        response.request = request
        response.raw = raw
        if "Content-Encoding" in answer.headers:  # although none was asked for
            response.raw = urllib3.HTTPResponse(
                raw,  # type: ignore[arg-type]  # urllib3 reads it, and no more
                dict(answer.headers),
                answer.status,
                preload_content=False,
            )
        return response


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def _not_connected(error: OSError, request: requests.PreparedRequest) -> requests.RequestException:
    match error:
        case TimeoutError():
            return requests.ConnectTimeout(error, request=request)
        case ssl.SSLError():
            return requests.exceptions.SSLError(error, request=request)
        case _:
            return requests.ConnectionError(error, request=request)


class _Answer:
    """The content of an answer, as requests reads it. The connection is kept with the last byte, else closed."""

    def __init__(self, adapter: OneHostAdapter, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self._adapter = adapter
        self._connection: HTTPConnection | None = connection
        self._answer = answer
        self.enforce_content_length = True  # of urllib3; azure-core sets it

    @property
    def closed(self) -> bool:
        """Whether no more content comes."""
        return self._connection is None

    def read(self, size: int | None = None) -> bytes:
        """Read `size` bytes, fewer at the end. Raises requests.RequestException."""
        return self._passed(lambda: self._answer.read(size))

    def read1(self, size: int, *, decode_content: bool = False) -> bytes:  # noqa: ARG002 - of urllib3; nothing is encoded
        """Read what has come, at most `size` bytes. Raises requests.RequestException."""
        return self._passed(lambda: self._answer.read1(size))

    def _passed(self, read: Callable[[], bytes]) -> bytes:
        if self._connection is None:
            return b""
        try:
            content = read()
        except (OSError, HTTPException) as error:
            self.close()
            raise requests.exceptions.ChunkedEncodingError(error) from None
        if not content and self._answer.length:
            self.close()
            raise requests.exceptions.ChunkedEncodingError(f"{self._answer.length} bytes are missing")
        if not content or self._answer.isclosed():
            self._end()
        return content

    def _end(self) -> None:
        """Keep the connection, or close it where the server does."""
        connection, self._connection = self._connection, None
        if connection is not None and self._answer.will_close:
            connection.close()
        elif connection is not None:
            self._adapter.keep(connection)

    def close(self) -> None:
        """Close the connection, if the content is not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._answer.close()
            connection.close()
