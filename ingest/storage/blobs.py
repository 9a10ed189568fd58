"""Documents in Azure Blob Storage: streamed in, verified, never overwritten.

Of azure.storage.blob, the reading calls, those on the container and the upload in blocks. What fits into one request is
put by `ingest.storage.blob_requests`.

https://learn.microsoft.com/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, unquote

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobBlock,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
)

from ingest.errors import BlobConflict, BlobMissing, BlobProtected, BlobUnavailable
from ingest.model.blob import StoredBlob
from ingest.ports import UPLOAD_BLOCK
from ingest.storage import entra
from ingest.storage.blob_requests import CONTENT_TYPE, RETRIES, PutBlob, prepare, transport
from ingest.trace import count, span

PROBE_SECONDS = 5

# The SDK logs every request with its headers at INFO.
logging.getLogger("azure").setLevel(logging.WARNING)


class BlobStore:
    """One container. Content is known by its length and SHA-256, which stand in the blob's metadata."""

    def __init__(self, container: ContainerClient, carrier: RequestsTransport, *, retries: int = RETRIES) -> None:
        """`carrier` carries the container's requests, too."""
        self._container = container
        self._carrier = carrier
        self._put_blob = PutBlob(container, carrier, retries=retries)

    @classmethod
    def connect(
        cls, *, container: str, connection_string: str | None, account_url: str | None, retries: int = RETRIES
    ) -> Self:
        """Connect by connection string, or by account URL and the app's managed identity. No request is made yet."""
        carrier = transport()
        options: dict[str, Any] = {
            "retry_policy": ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=retries),
            "transport": carrier,
        }
        if connection_string:
            service = BlobServiceClient.from_connection_string(connection_string, **options)
        else:
            service = BlobServiceClient(account_url or "", credential=entra.credential(), **options)
        prepare(carrier, service.url)
        return cls(service.get_container_client(container), carrier, retries=retries)

    def store(
        self,
        name: str,
        content: Iterable[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredBlob:
        """Write `content` as the blob `name`, and return what lies there now.

        `content` comes in blocks of at most UPLOAD_BLOCK, `size` bytes in all, and `sha256` is its hash in hex. Each
        request carries the MD5 of its bytes, which the service compares. A blob that is there already with the same
        length and hash is success: an earlier attempt wrote it. Values of `metadata` may be any text; they are
        percent-encoded. Raises BlobConflict (other content under that name), BlobUnavailable, and all that reading
        `content` raises: then nothing was committed. A container is made by the deployment: one that is missing is a
        wrong setting.
        """
        stored = StoredBlob(container=self._container.container_name, name=name, size=size, sha256=sha256)
        try:
            if size > UPLOAD_BLOCK:
                self._store_in_blocks(stored, content, _metadata(sha256, metadata or {}))
            else:
                self._store_whole(stored, b"".join(content), _metadata(sha256, metadata or {}))
        except ResourceExistsError:
            self._must_hold(stored)
        except AzureError as error:
            raise self._unavailable("store", _code(error)) from None
        count("blob.bytes", size)
        return stored

    def _store_whole(self, stored: StoredBlob, content: bytes, metadata: Mapping[str, str]) -> None:
        """Upload in one request. Raises ResourceExistsError, AzureError, BlobConflict, BlobUnavailable."""
        _must_be_whole(stored, len(content))
        with span("blob.put"):
            status, code = self._put_blob.put(stored.name, content, metadata)
            if status == HTTPStatus.CREATED:
                return
            if status == HTTPStatus.CONFLICT and code != _BEING_DELETED:
                raise ResourceExistsError(code)
            raise self._unavailable("store", code or str(status))

    def _store_in_blocks(self, stored: StoredBlob, content: Iterable[bytes], metadata: dict[str, str]) -> None:
        """Upload block by block; only the last request makes the blob. Raises as `_store_whole`."""
        blob = self._container.get_blob_client(stored.name)
        upload = secrets.token_hex(8)  # blocks of two owners at work on the same blob must not mix
        ids: list[BlobBlock] = []
        sent = 0
        for block in content:
            block_id = base64.b64encode(f"{upload}{len(ids):08d}".encode()).decode()
            with span("blob.put_block"):
                blob.stage_block(block_id, block, length=len(block), validate_content=True)
            ids.append(BlobBlock(block_id))
            sent += len(block)
            del block  # not held while the next one is read
        _must_be_whole(stored, sent)
        with span("blob.put_block_list"):
            blob.commit_block_list(ids, metadata=metadata, content_settings=_CONTENT, if_none_match="*")
        with span("blob.properties"):
            found = blob.get_blob_properties()
        if found.size != stored.size:
            raise BlobConflict(f"the blob {stored.name} has {found.size} bytes, {stored.size} were sent")

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a blob in blocks of at most BLOCK_SIZE. Raises BlobMissing, BlobUnavailable."""
        try:
            with span("blob.read"):
                yield from self._container.get_blob_client(name).download_blob().chunks()
        except ResourceNotFoundError as error:
            self._container_must_be_there(error)
            raise BlobMissing(f"there is no blob {name}") from None
        except AzureError as error:
            raise self._unavailable("read", _code(error)) from None

    @property
    def container(self) -> str:
        """The container's name."""
        return self._container.container_name

    def name_of(self, url: str) -> str | None:
        """Return the name of a blob in this container by its URL; None for a URL elsewhere."""
        folder = f"{self._container.url}/"
        return unquote(url.removeprefix(folder)) if url.startswith(folder) else None

    def tags(self, name: str) -> dict[str, str]:
        """Return a blob's index tags. Raises BlobMissing, BlobUnavailable."""
        try:
            with span("blob.tags"):
                return dict(self._container.get_blob_client(name).get_blob_tags())
        except ResourceNotFoundError as error:
            self._container_must_be_there(error)
            raise BlobMissing(f"there is no blob {name}") from None
        except AzureError as error:
            raise self._unavailable("tags", _code(error)) from None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the blobs below `prefix`. Raises BlobUnavailable."""
        try:
            yield from self._container.list_blob_names(name_starts_with=prefix)
        except AzureError as error:
            raise self._unavailable("list", _code(error)) from None

    def modified(self) -> Iterator[tuple[str, datetime]]:
        """Yield the name of each blob with the time of its last change. Raises BlobUnavailable."""
        try:
            for blob in self._container.list_blobs():
                yield str(blob.name), blob.last_modified
        except AzureError as error:
            raise self._unavailable("list", _code(error)) from None

    def delete(self, name: str) -> None:
        """Delete a blob with its snapshots; one that is gone is done. Raises BlobProtected, BlobUnavailable."""
        try:
            self._container.delete_blob(name, delete_snapshots="include")
        except ResourceNotFoundError as error:
            self._container_must_be_there(error)
        except AzureError as error:
            if _code(error) in _PROTECTED:
                raise self._protection(name) from None
            raise self._unavailable("delete", _code(error)) from None

    def delete_unused(self, name: str, *, since: datetime) -> bool:
        """Delete a blob that no upload has written or found since a moment; return whether the blob is gone.

        Raises BlobProtected, BlobUnavailable.
        """
        try:
            self._container.delete_blob(name, delete_snapshots="include", if_unmodified_since=since)
        except ResourceNotFoundError as error:
            self._container_must_be_there(error)
            return True
        except ResourceModifiedError:
            return False
        except AzureError as error:
            if _code(error) in _PROTECTED:
                raise self._protection(name) from None
            raise self._unavailable("delete", _code(error)) from None
        return True

    def holds(self, blob: StoredBlob) -> bool:
        """Return whether the blob is there with its length and hash. Raises BlobUnavailable.

        A blob of another container is taken for one that is there: this store sees its own container only.
        """
        if blob.container != self._container.container_name:
            return True
        try:
            with span("blob.properties"):
                found = self._container.get_blob_client(blob.name).get_blob_properties()
        except ResourceNotFoundError as error:
            if _code(error) == _CONTAINER_MISSING:
                raise self._unavailable("properties", _code(error)) from None
            return False
        except AzureError as error:
            raise self._unavailable("properties", _code(error)) from None
        return found.size == blob.size and (found.metadata or {}).get("sha256") == blob.sha256

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        """Raise BlobProtected for a blob with a legal hold or a policy of its own; return whether the blob is there.

        A policy that has ended by `now` does not count. A policy of the whole container shows on none of its blobs.
        Raises BlobUnavailable.
        """
        try:
            found = self._container.get_blob_client(name).get_blob_properties()
        except ResourceNotFoundError as error:
            self._container_must_be_there(error)
            return False
        except AzureError as error:
            raise self._unavailable("properties", _code(error)) from None
        until = found.immutability_policy.expiry_time if found.immutability_policy else None
        if found.has_legal_hold or (until is not None and until > now):
            raise protected_by(legal_hold=bool(found.has_legal_hold), until=until)
        return True

    def _protection(self, name: str) -> BlobProtected:
        """Return the protection of a blob. A policy of the whole container shows no end on its blobs."""
        try:
            found = self._container.get_blob_client(name).get_blob_properties()
        except AzureError as error:
            raise self._unavailable("properties", _code(error)) from None
        until = found.immutability_policy.expiry_time if found.immutability_policy else None
        return protected_by(legal_hold=bool(found.has_legal_hold), until=until)

    def has_container(self) -> bool:
        """Return whether the container is there; asked once, within seconds. Raises BlobUnavailable."""
        try:
            return bool(
                self._container.exists(retry_total=0, connection_timeout=PROBE_SECONDS, read_timeout=PROBE_SECONDS)
            )
        except AzureError as error:
            raise self._unavailable("container", _code(error)) from None

    def close(self) -> None:
        """Close the connections."""
        self._container.close()
        self._carrier.close()

    def _container_must_be_there(self, error: ResourceNotFoundError) -> None:
        """Raise BlobUnavailable for a blob that is missing with its whole container: that is a wrong setting."""
        if _code(error) == _CONTAINER_MISSING:
            raise self._unavailable("container", _code(error)) from None

    def _unavailable(self, operation: str, code: str) -> BlobUnavailable:
        if code == _CONTAINER_MISSING:
            return BlobUnavailable(f"there is no blob container {self._container.container_name} (INGEST_CONTAINER)")
        return BlobUnavailable(f"blob {operation}: {code}")

    def _must_hold(self, expected: StoredBlob) -> None:
        """Compare the blob that is there, and write its metadata again: `delete_unused` leaves the blob then.

        A blob of an attempt that did not commit has no record yet. A blob that takes no metadata is left as it is.
        Raises BlobConflict, BlobUnavailable.
        """
        blob = self._container.get_blob_client(expected.name)
        try:
            with span("blob.properties"):
                found = blob.get_blob_properties()
            if found.size != expected.size or (found.metadata or {}).get("sha256") != expected.sha256:
                raise BlobConflict(f"the blob {expected.name} is there with other content")
            with span("blob.metadata"):
                blob.set_blob_metadata(found.metadata)
        except AzureError as error:
            if _code(error) not in _UNWRITABLE:
                raise self._unavailable("properties", _code(error)) from None


_CONTENT = ContentSettings(content_type=CONTENT_TYPE)
# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_PROTECTED = frozenset({"BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"})
# The metadata stays as it is, and the mail of the blob must not wait for that. `delete_unused` deletes no protected and
# no leased blob. A blob is archived after days at rest: long after the attempts of a mail without a record.
_UNWRITABLE = _PROTECTED | {"BlobArchived", "LeaseIdMissing"}
_BEING_DELETED = "ContainerBeingDeleted"
_CONTAINER_MISSING = "ContainerNotFound"


def _metadata(sha256: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Metadata travels as HTTP headers: ASCII only, so the values of strangers are percent-encoded.

    Half of a surrogate pair becomes a question mark: Graph cuts long names in the middle of a pair.
    """
    escaped = {key: quote(value, safe="", errors="replace") for key, value in extra.items()}
    return {"sha256": sha256, **escaped}


def _must_be_whole(stored: StoredBlob, sent: int) -> None:
    if sent != stored.size:
        raise BlobConflict(f"the blob {stored.name} was to have {stored.size} bytes, {sent} came")


def protected_by(*, legal_hold: bool, until: datetime | None) -> BlobProtected:
    """Return the error for a blob that a legal hold protects, or an immutability policy with or without a known end."""
    if legal_hold:
        return BlobProtected("a legal hold protects a blob")
    if until is None:
        return BlobProtected("the container's immutability policy protects a blob")
    return BlobProtected(f"an immutability policy protects a blob until {until:%Y-%m-%d}", until=until)


def _code(error: AzureError) -> str:
    code = getattr(error, "error_code", None)  # the SDK adds it to azure.core's errors: an enum for most codes
    return str(getattr(code, "value", code) or type(error).__name__)
