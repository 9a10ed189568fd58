"""The requests to Blob Storage: one transport for all of them, and `Put Blob` without the SDK's own way.

Most contents fit into one `Put Blob`. The SDK builds a client, serialises and checks for each of them, which takes half
of the processor time of an upload; azure-core's pipeline sends the same request with the SDK's own signature.

https://learn.microsoft.com/rest/api/storageservices/put-blob
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, override
from urllib.parse import quote

import requests
from azure.core.pipeline import Pipeline, PipelineResponse
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HTTPPolicy, RetryPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import HttpRequest, HttpResponse, HttpTransport, RequestsTransport
from azure.storage.blob import ContainerClient

from ingest.http_adapter import OneHostAdapter

CONNECT_SECONDS = 5
READ_SECONDS = 30
RETRIES = 3  # of one request: at once, after two and after four seconds
MAX_RETRY_AFTER = 20.0  # seconds
POOL_SIZE = 32  # connections kept alive: more than the uploads that one instance runs at a time
CONTENT_TYPE = "application/octet-stream"  # a browser runs nothing that is served with this type
_SCOPE = "https://storage.azure.com/.default"  # of a token for every account, in each cloud


def transport() -> RequestsTransport:
    """Return a transport with connections of its own. `prepare` comes before the first request."""
    return RequestsTransport(session=_Session(), connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)


def prepare(carrier: RequestsTransport, url: str) -> None:
    """Prepare a transport for the account at `url`: proxies and CA bundle are read from the environment once."""
    session = carrier.session
    assert session is not None  # noqa: S101 - `transport` has set it
    session.mount(url, OneHostAdapter(url, connections=POOL_SIZE))
    surroundings = session.merge_environment_settings(url, {}, stream=False, verify=None, cert=None)
    session.trust_env = False
    session.proxies = surroundings["proxies"]
    carrier.connection_config.verify = surroundings["verify"]


class PutBlob:
    """`Put Blob` into one container, signed with the client's credential and retried."""

    def __init__(
        self,
        container: ContainerClient,
        carrier: HttpTransport[HttpRequest, HttpResponse],
        *,
        retries: int = RETRIES,
    ) -> None:
        self._version = container.api_version
        url, _, sas = container.url.partition("?")
        self._url, self._query = url, f"?{sas}" if sas else ""
        retry = _BoundedRetry(retry_total=retries, retry_backoff_factor=1.0)
        self._pipeline = Pipeline[HttpRequest, HttpResponse](carrier, [retry, *_signing(container.credential)])

    def put(self, name: str, content: bytes, metadata: Mapping[str, str]) -> tuple[int, str]:
        """Put a blob that is not there yet; return status and error code of the answer.

        The service compares the content with its MD5. 409 says that a blob of this name is there. `metadata` is ASCII.
        Raises AzureError where there is no answer.
        """
        request = HttpRequest(
            "PUT",
            f"{self._url}/{quote(name, safe='/~')}{self._query}",
            headers={
                "x-ms-version": self._version,
                "x-ms-date": formatdate(usegmt=True),
                "x-ms-blob-type": "BlockBlob",
                "If-None-Match": "*",
                "Content-Type": CONTENT_TYPE,
                "Content-MD5": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
                **{f"x-ms-meta-{key}": value for key, value in metadata.items()},
            },
        )
        request.set_bytes_body(content)
        response = self._pipeline.run(request).http_response
        return response.status_code, response.headers.get("x-ms-error-code", "")


class _BoundedRetry(RetryPolicy[HttpRequest, HttpResponse]):
    """azure-core's retries, which would wait for as long as an answer's Retry-After says."""

    @override
    def get_retry_after(self, response: PipelineResponse[Any, Any]) -> float | None:
        """Return the seconds of Retry-After, at most MAX_RETRY_AFTER: behind that the queue brings the mail again."""
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, MAX_RETRY_AFTER)


type _Policy = HTTPPolicy[HttpRequest, HttpResponse] | SansIOHTTPPolicy[HttpRequest, HttpResponse]


def _signing(credential: Any) -> list[_Policy]:  # noqa: ANN401 - as the SDK has it
    """Return the policy that signs requests; none where the URL carries a shared access signature.

    The SDK's credential for an account key is such a policy itself.
    """
    if credential is None:
        return []
    if isinstance(credential, SansIOHTTPPolicy):
        return [credential]
    return [BearerTokenCredentialPolicy(credential, _SCOPE)]


class _Session(requests.Session):
    """A session that sends an upload as azure-core has prepared and signed it.

    requests prepares every request anew: URL, headers, cookies and settings are parsed, merged and copied. That takes
    a fifth of the processor time of an upload.
    """

    @override
    def request(  # type: ignore[override]  # azure-core passes all but method and URL by name
        self, method: str, url: str, *, headers: Any = None, data: Any = None, **options: Any
    ) -> requests.Response:
        """Send an upload by the adapter at once, and any other request as requests does."""
        if method != "PUT" or not isinstance(data, bytes) or "Content-Length" not in headers:
            return super().request(method, url, headers=headers, data=data, **options)
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, data
        prepared.headers = dict(headers)  # type: ignore[assignment]  # a plain dict will do: OneHostAdapter
        response = self.get_adapter(url).send(
            prepared,
            timeout=options["timeout"],
            verify=options["verify"],
            cert=options["cert"],
            proxies=options["proxies"] or self.proxies,
        )
        response.content  # noqa: B018 - read, so that the connection is free again
        return response
