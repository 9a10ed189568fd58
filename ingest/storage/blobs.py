"""Documents in Azure Blob Storage: streamed in, hashed on the way, verified, never overwritten.

The only importer of azure.storage.blob. Of requests, only the session is used that carries the SDK's requests.

https://learn.microsoft.com/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Self, override
from urllib.parse import quote

import requests
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
)

from ingest.errors import BlobConflict, BlobMissing, BlobUnavailable
from ingest.model import StoredBlob
from ingest.storage import entra
from ingest.trace import count, span

BLOCK_SIZE = 4 * 1024 * 1024  # bytes held in memory at a time, for every size of content
CONNECT_SECONDS = 5
READ_SECONDS = 60
PROBE_SECONDS = 5

# The SDK logs every request with its headers at INFO.
logging.getLogger("azure").setLevel(logging.WARNING)


class BlobStore:
    """One container. Content is known by its length and SHA-256, which stand in the blob's metadata."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    @classmethod
    def connect(cls, *, container: str, connection_string: str | None, account_url: str | None) -> Self:
        """Connect by connection string, or by account URL and the app's managed identity. No request is made yet."""
        transport = RequestsTransport(session=_Session(), connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        options: dict[str, Any] = {
            "retry_policy": ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3),
            "transport": transport,
        }
        if connection_string:
            service = BlobServiceClient.from_connection_string(connection_string, **options)
        else:
            service = BlobServiceClient(account_url or "", credential=entra.credential(), **options)
        _read_surroundings(transport, service.url)
        return cls(service.get_container_client(container))

    def store(self, name: str, content: Iterable[bytes], *, metadata: Mapping[str, str] | None = None) -> StoredBlob:
        """Write `content` as the blob `name`, and say what lies there now.

        A blob that is there already with the same length and hash is success: an earlier attempt wrote it. Values
        of `metadata` may be any text; they are percent-encoded. Raises BlobConflict (other content under that
        name), BlobUnavailable, and all that reading `content` raises: then nothing was committed. A container is made
        by the deployment: one that is missing is a wrong setting.
        """
        blob = self._container.get_blob_client(name)
        upload = _Upload(blob)
        blocks = _rechunk(content)
        head = deque(islice(blocks, 2))
        in_blocks = len(head) > 1
        # One iterator for all, so that a refusal at any block (an immutable blob refuses the first) loses none.
        left = _given_away(head, blocks)
        try:
            if in_blocks:
                stored = upload.in_blocks(left, metadata or {})
            else:
                stored = upload.whole(next(left, b""), metadata or {})
        except ResourceExistsError:
            stored = upload.rest(left)
            self._must_hold(blob, stored)
        except AzureError as error:
            raise self._unavailable("store", error) from None
        count("blob.bytes", stored.size)
        return stored

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a blob in blocks of at most BLOCK_SIZE. Raises BlobMissing, BlobUnavailable."""
        try:
            with span("blob.read"):
                yield from self._container.get_blob_client(name).download_blob().chunks()
        except ResourceNotFoundError as error:
            if _is_container_missing(error):
                raise self._unavailable("read", error) from None
            raise BlobMissing(f"there is no blob {name}") from None
        except AzureError as error:
            raise self._unavailable("read", error) from None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the blobs below `prefix`. Raises BlobUnavailable."""
        try:
            yield from self._container.list_blob_names(name_starts_with=prefix)
        except ResourceNotFoundError:
            return  # no container, no blobs
        except AzureError as error:
            raise self._unavailable("list", error) from None

    def modified(self) -> Iterator[tuple[str, datetime]]:
        """Yield the name of each blob with the time of its last change. Raises BlobUnavailable."""
        try:
            for blob in self._container.list_blobs():
                yield str(blob.name), blob.last_modified
        except AzureError as error:
            raise self._unavailable("list", error) from None

    def delete(self, name: str) -> None:
        """Delete a blob with its snapshots; one that is gone is done. Raises BlobUnavailable."""
        try:
            self._container.delete_blob(name, delete_snapshots="include")
        except ResourceNotFoundError:
            return
        except AzureError as error:
            raise self._unavailable("delete", error) from None

    def has_container(self) -> bool:
        """Return whether the container is there; asked once, within seconds. Raises BlobUnavailable."""
        try:
            return bool(
                self._container.exists(retry_total=0, connection_timeout=PROBE_SECONDS, read_timeout=PROBE_SECONDS)
            )
        except AzureError as error:
            raise self._unavailable("container", error) from None

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def _unavailable(self, operation: str, error: AzureError) -> BlobUnavailable:
        if _is_container_missing(error):
            return BlobUnavailable(f"there is no blob container {self._container.container_name} (INGEST_CONTAINER)")
        return _unavailable(operation, error)

    def _must_hold(self, blob: BlobClient, expected: StoredBlob) -> None:
        try:
            with span("blob.properties"):
                found = blob.get_blob_properties()
        except AzureError as error:
            raise self._unavailable("properties", error) from None
        if found.size != expected.size or (found.metadata or {}).get("sha256") != expected.sha256:
            raise BlobConflict(f"the blob {expected.name} is there with other content")


class _Upload:
    """One content on its way into one blob."""

    def __init__(self, blob: BlobClient) -> None:
        self._blob = blob
        self._digest = hashlib.sha256()
        self._size = 0

    def whole(self, content: bytes, metadata: Mapping[str, str]) -> StoredBlob:
        """Upload in one request; Content-MD5 lets the service verify the content."""
        stored = self._count(content)
        with span("blob.put"):
            self._blob.upload_blob(
                content,
                length=len(content),
                overwrite=False,
                validate_content=True,
                metadata=_metadata(stored, metadata),
                content_settings=_CONTENT,
            )
        return stored

    def in_blocks(self, blocks: Iterator[bytes], metadata: Mapping[str, str]) -> StoredBlob:
        """Upload block by block, each verified by its MD5; only the last request makes the blob."""
        upload = secrets.token_hex(8)  # blocks of two owners at work on the same blob must not mix
        ids: list[BlobBlock] = []
        stored = self._current()
        for content in blocks:
            stored = self._count(content)
            block_id = base64.b64encode(f"{upload}{len(ids):08d}".encode()).decode()
            with span("blob.put_block"):
                self._blob.stage_block(block_id, content, length=len(content), validate_content=True)
            ids.append(BlobBlock(block_id))
            del content  # not held while the next one is read
        with span("blob.put_block_list"):
            self._blob.commit_block_list(
                ids,
                metadata=_metadata(stored, metadata),
                content_settings=_CONTENT,
                if_none_match="*",
            )
        with span("blob.properties"):
            found = self._blob.get_blob_properties()
        if found.size != stored.size:
            raise BlobConflict(f"the blob {stored.name} has {found.size} bytes, {stored.size} were sent")
        return stored

    def rest(self, blocks: Iterator[bytes]) -> StoredBlob:
        """Hash the remaining blocks of a refused upload; return the blob that the whole content would make."""
        stored = self._current()
        for content in blocks:
            stored = self._count(content)
        return stored

    def _count(self, content: bytes) -> StoredBlob:
        self._digest.update(content)
        self._size += len(content)
        return self._current()

    def _current(self) -> StoredBlob:
        return StoredBlob(
            container=self._blob.container_name,
            name=self._blob.blob_name,
            size=self._size,
            sha256=self._digest.hexdigest(),
        )


class _Session(requests.Session):
    """A session that sends an upload as the SDK has prepared and signed it.

    requests prepares every request anew: URL, headers, cookies and settings are parsed, merged and copied. That takes
    a fifth of the processor time of an upload.
    """

    @override
    def request(  # type: ignore[override]  # the SDK passes all but method and URL by name
        self, method: str, url: str, *, headers: Any = None, data: Any = None, **options: Any
    ) -> requests.Response:
        """Send an upload by the adapter at once, and any other request as requests does."""
        if method != "PUT" or not isinstance(data, bytes) or "Content-Length" not in headers:
            return super().request(method, url, headers=headers, data=data, **options)
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, data
        prepared.headers = requests.structures.CaseInsensitiveDict(headers)
        response = self.get_adapter(url).send(
            prepared,
            timeout=options["timeout"],
            verify=options["verify"],
            cert=options["cert"],
            proxies=options["proxies"] or self.proxies,
        )
        response.content  # noqa: B018 - read, so that the connection is free again
        return response


def _read_surroundings(transport: RequestsTransport, url: str) -> None:
    """Read proxies and CA bundle for `url` from the environment, once instead of for each request."""
    transport.open()
    session = transport.session
    assert session is not None  # noqa: S101 - open() makes it
    session.trust_env = True
    surroundings = session.merge_environment_settings(url, {}, stream=False, verify=None, cert=None)
    session.trust_env = False
    session.proxies = surroundings["proxies"]
    transport.connection_config.verify = surroundings["verify"]


# A browser runs nothing that is served with this type.
_CONTENT = ContentSettings(content_type="application/octet-stream")


def _metadata(stored: StoredBlob, extra: Mapping[str, str]) -> dict[str, str]:
    """Metadata travels as HTTP headers: ASCII only, so the values of strangers are percent-encoded.

    Half of a surrogate pair becomes a question mark: Graph cuts long names in the middle of a pair.
    """
    escaped = {key: quote(value, safe="", errors="replace") for key, value in extra.items()}
    return {"sha256": stored.sha256, **escaped}


def _rechunk(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of BLOCK_SIZE, the last one shorter."""
    buffer = bytearray()
    for piece in content:
        buffer += piece
        while len(buffer) >= BLOCK_SIZE:
            with memoryview(buffer) as view:
                block = bytes(view[:BLOCK_SIZE])
            del buffer[:BLOCK_SIZE]
            yield block
            del block
    if buffer:
        yield bytes(buffer)


def _given_away(head: deque[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield all blocks in their order, and keep none of them."""
    while head:
        yield head.popleft()
    yield from rest


def _is_container_missing(error: AzureError) -> bool:
    return getattr(error, "error_code", None) == "ContainerNotFound"


def _unavailable(operation: str, error: AzureError) -> BlobUnavailable:
    code = getattr(error, "error_code", None)  # the storage SDK adds it to azure.core's errors
    return BlobUnavailable(f"blob {operation}: {code or type(error).__name__}")
