"""The records and documents of a mail, read from Postgres and Blob."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from psycopg.rows import class_row

from local.stack import Stack


@dataclass(frozen=True, kw_only=True)
class StoredDocument:
    """A row that the DMS sees, and the SHA-256 of the blob that it names (None: there is no such blob)."""

    name: str
    recorded_sha256: str
    blob_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class StoredMessage:
    """One tenant's copy of a mail."""

    tenant: str
    trigger: str
    original_sha256: str | None
    documents: tuple[StoredDocument, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """The claim of a message: its trigger, its state, its reason."""

    trigger: str
    state: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class _MessageRow:
    id: int
    tenant: str
    trigger: str
    container: str
    blob_name: str


@dataclass(frozen=True, kw_only=True)
class _DocumentRow:
    name: str
    sha256: str
    container: str
    blob_name: str


class Evidence:
    """Reads as the owner of the database, who sees every tenant."""

    def __init__(self, database: psycopg.Connection, blobs: BlobServiceClient) -> None:
        self._database = database
        self._blobs = blobs

    def claim(self, message_id: str) -> ClaimRow | None:
        """Read the record of one message by its Graph id."""
        with self._database.cursor(row_factory=class_row(ClaimRow)) as cursor:
            return cursor.execute(
                "SELECT trigger, state, reason FROM ingest.claim WHERE message_id = %s", [message_id]
            ).fetchone()

    def stored(self, message_id: str) -> list[StoredMessage]:
        """Read every copy of one message by its Graph id, and hash all of its blobs."""
        with self._database.cursor(row_factory=class_row(_MessageRow)) as cursor:
            rows = cursor.execute(
                """
                SELECT copy.id, tenant.name AS tenant, copy.trigger, copy.container, copy.blob_name
                FROM ingest.message AS copy
                JOIN ingest.claim ON claim.id = copy.claim_id
                JOIN dms_tenant AS tenant ON tenant.id = copy.tenant_id
                WHERE claim.message_id = %s ORDER BY copy.id
                """,
                [message_id],
            ).fetchall()
        return [
            StoredMessage(
                tenant=row.tenant,
                trigger=row.trigger,
                original_sha256=self._blob_sha256(row.container, row.blob_name),
                documents=tuple(self._documents(row.id)),
            )
            for row in rows
        ]

    def _documents(self, message: int) -> Iterator[StoredDocument]:
        with self._database.cursor(row_factory=class_row(_DocumentRow)) as cursor:
            rows = cursor.execute(
                """
                SELECT document.name, document.sha256, document.container, document.blob_name
                FROM ingest.document JOIN ingest.part ON part.id = document.part_id
                WHERE document.message_id = %s ORDER BY part.position
                """,
                [message],
            ).fetchall()
        for row in rows:
            yield StoredDocument(
                name=row.name,
                recorded_sha256=row.sha256,
                blob_sha256=self._blob_sha256(row.container, row.blob_name),
            )

    def _blob_sha256(self, container: str, name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            for block in self._blobs.get_blob_client(container, name).download_blob().chunks():
                digest.update(block)
        except ResourceNotFoundError:
            return None
        return digest.hexdigest()


@contextmanager
def evidence(stack: Stack) -> Iterator[Evidence]:
    """Open the stack's database and storage for reading."""
    with (
        psycopg.connect(stack.postgres.owner_url, autocommit=True) as database,
        BlobServiceClient.from_connection_string(stack.azurite.connection_string) as blobs,
    ):
        yield Evidence(database, blobs)
