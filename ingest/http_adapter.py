"""HTTP to one host by requests, without what the library does anew for each request.

Graph and Blob Storage are a host each, asked four times for a mail.
"""

from __future__ import annotations

from typing import Any, override
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter


class OneHostAdapter(HTTPAdapter):
    """An adapter for the requests below one URL, with one set of certificates and proxies, and without cookies.

    requests derives the connection pool from the URL, looks for the CA bundle on the disk and searches each answer for
    cookies. Here the pool is found once, and the bundle with it. Headers stay in the mappings of their makers: requests
    looks only for Content-Length in those of a request, and those of an answer are found in any case.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        """`url`: scheme and host, and a path that all requests share. `connections`: kept alive."""
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)
        self._url = url
        self._host_length = len(url) - len(urlsplit(url)._replace(scheme="", netloc="").geturl())
        self._pool: Any = None

    @override
    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of the host, as requests has found it the first time."""
        if self._pool is not None and (request.url or "").startswith(self._url):
            return self._pool
        pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        if (request.url or "").startswith(self._url):
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]  # requests has no types
            self._pool = pool
        return pool

    @override
    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Set the certificates of a pool that is not kept."""
        if conn is not self._pool:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # as above

    @override
    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return the URL behind the host, which requests parses for each request."""
        url = request.url or ""
        return (
            url[self._host_length :]
            if not proxies and url.startswith(self._url)
            else super().request_url(request, proxies)
        )

    @override
    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the response without cookies: neither Graph nor Blob Storage needs one back."""
        response = requests.Response()
        response.status_code, response.reason = resp.status, resp.reason
        response.headers = resp.headers
        response.raw, response.url, response.request = resp, req.url or "", req
        return response
