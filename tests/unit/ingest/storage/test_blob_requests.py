"""Put Blob as a plain request: what it carries for each kind of credential, and when it is sent again."""

import hashlib
import io
from types import TracebackType
from typing import Self, override

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import HttpRequest, HttpResponse, HttpTransport, RequestsTransportResponse
from azure.storage.blob import ContainerClient

from ingest.errors import BlobUnavailable
from ingest.ports import UPLOAD_BLOCK
from ingest.storage.blob_requests import MAX_RETRY_AFTER, PutBlob, transport
from ingest.storage.blobs import PROBE_SECONDS, BlobStore

type Played = int | tuple[int, dict[str, str]] | Exception  # a status, its headers where they count

KEY = "bGVha2Vk"
BY_KEY = f"DefaultEndpointsProtocol=https;AccountName=dms;AccountKey={KEY};EndpointSuffix=core.windows.net"


class Service(HttpTransport[HttpRequest, HttpResponse]):
    """A transport that plays answers and keeps the requests."""

    def __init__(self, *played: Played) -> None:
        self._played = list(played)
        self.requests: list[HttpRequest] = []
        self.options: list[dict[str, object]] = []
        self.slept: list[float] = []

    @override
    def send(self, request: HttpRequest, **options: object) -> HttpResponse:
        self.requests.append(request)
        self.options.append(options)
        answer = self._played.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, headers = answer if isinstance(answer, tuple) else (answer, {})
        response.headers.update(headers)
        response.raw = io.BytesIO()
        if answer == 409:
            response.headers["x-ms-error-code"] = "BlobAlreadyExists"
        played: HttpResponse = RequestsTransportResponse(request, response)
        return played

    @override
    def sleep(self, duration: float) -> None:
        """Note the seconds, and return at once."""
        self.slept.append(duration)

    @override
    def open(self) -> None: ...

    @override
    def close(self) -> None: ...

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...


class Identity:
    """A managed identity."""

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken("entra", 2**40)


def by_key(service: Service) -> PutBlob:
    return PutBlob(ContainerClient.from_connection_string(BY_KEY, "documents"), service)


def test_a_blob_is_put_only_where_there_is_none_and_the_service_compares_its_md5() -> None:
    service = Service(201)
    assert by_key(service).put("7/Ab-1~/001 ü", b"content", {"sha256": "00"}) == (201, "")
    [request] = service.requests
    assert (request.method, request.body) == ("PUT", b"content")
    assert request.url == "https://dms.blob.core.windows.net/documents/7/Ab-1~/001%20%C3%BC"
    assert request.headers["If-None-Match"] == "*"
    assert request.headers["Content-MD5"] == "mgNkuembtIDdJeHwKEyFVQ=="
    assert request.headers["x-ms-meta-sha256"] == "00"


def test_an_account_key_signs_and_never_travels() -> None:
    service = Service(201)
    by_key(service).put("x", b"content", {})
    [request] = service.requests
    assert request.headers["Authorization"].startswith("SharedKey dms:")
    assert KEY not in f"{request.url} {dict(request.headers)}"


def test_an_identity_gives_a_bearer_token() -> None:
    service = Service(201)
    container = ContainerClient("https://dms.blob.core.windows.net", "documents", credential=Identity())
    PutBlob(container, service).put("x", b"content", {})
    assert service.requests[0].headers["Authorization"] == "Bearer entra"


def test_a_shared_access_signature_stays_in_the_url() -> None:
    service = Service(201)
    container = ContainerClient("https://dms.blob.core.windows.net", "documents", credential="sv=1&sig=s%3D")
    PutBlob(container, service).put("x", b"content", {})
    assert service.requests[0].url == "https://dms.blob.core.windows.net/documents/x?sv=1&sig=s%3D"
    assert "Authorization" not in service.requests[0].headers


@pytest.mark.parametrize("trouble", [500, 503, 429, ServiceRequestError("no connection")])
def test_a_request_that_met_passing_trouble_is_sent_again(trouble: Played) -> None:
    service = Service(trouble, 201)
    assert by_key(service).put("x", b"content", {}) == (201, "")
    assert [request.body for request in service.requests] == [b"content", b"content"]


def test_a_blob_that_is_there_is_said_at_once() -> None:
    service = Service(409)
    assert by_key(service).put("x", b"content", {}) == (409, "BlobAlreadyExists")


def test_attempts_have_an_end() -> None:
    service = Service(503, 503, 503, 503)
    assert by_key(service).put("x", b"content", {})[0] == 503
    assert len(service.requests) == 4


@pytest.mark.parametrize(("asked", "slept"), [("7", 7.0), ("3600", MAX_RETRY_AFTER)])
def test_no_answer_of_the_service_holds_an_upload_for_long(asked: str, slept: float) -> None:
    service = Service((503, {"Retry-After": asked}), 201)
    assert by_key(service).put("x", b"content", {}) == (201, "")
    assert service.slept == [slept]


@pytest.mark.parametrize("trouble", [ServiceRequestError("no connection"), ServiceResponseError("no answer")])
def test_a_storage_that_is_silent_is_asked_once_and_not_for_long(trouble: Played) -> None:
    service = Service(trouble)
    container = ContainerClient.from_connection_string(BY_KEY, "documents", transport=service)
    store = BlobStore(container, transport())
    with pytest.raises(BlobUnavailable):
        store.has_container()
    store.close()
    (options,) = service.options
    assert (options["connection_timeout"], options["read_timeout"]) == (PROBE_SECONDS, PROBE_SECONDS)
    assert PROBE_SECONDS <= 5


@pytest.mark.parametrize("code", ["BlobArchived", "LeaseIdMissing", "BlobImmutableDueToPolicy"])
def test_a_blob_that_is_there_and_takes_no_metadata_is_stored(code: str) -> None:
    blocks = [bytes(UPLOAD_BLOCK), b"x"]
    sha256 = hashlib.sha256(b"".join(blocks)).hexdigest()
    found = {"Content-Length": str(UPLOAD_BLOCK + 1), "x-ms-meta-sha256": sha256}
    # Two blocks, the list of blocks, the look at the blob, the write of its metadata.
    service = Service(201, 201, 409, (200, found), (409, {"x-ms-error-code": code}))
    container = ContainerClient.from_connection_string(BY_KEY, "documents", transport=service)
    store = BlobStore(container, transport())
    assert store.store("x", blocks, size=UPLOAD_BLOCK + 1, sha256=sha256).sha256 == sha256
    store.close()
    assert "comp=metadata" in service.requests[-1].url


def test_a_blob_that_is_gone_before_its_metadata_is_written_is_not_stored() -> None:
    blocks = [bytes(UPLOAD_BLOCK), b"x"]
    sha256 = hashlib.sha256(b"".join(blocks)).hexdigest()
    found = {"Content-Length": str(UPLOAD_BLOCK + 1), "x-ms-meta-sha256": sha256}
    service = Service(201, 201, 409, (200, found), (404, {"x-ms-error-code": "BlobNotFound"}))
    store = BlobStore(ContainerClient.from_connection_string(BY_KEY, "documents", transport=service), transport())
    with pytest.raises(BlobUnavailable, match="BlobNotFound"):
        store.store("x", blocks, size=UPLOAD_BLOCK + 1, sha256=sha256)
    store.close()
