"""The proof that the storage account at hand is the one of the records, before a command deletes anything.

A missing blob counts as gone. In a wrong account all blobs are missing, and their records would be deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import LiteralString, Protocol

from ingest.errors import BlobProtected, BlobUnavailable, OperatorError
from operations.database import connect

_ADVICE = "Check INGEST_STORAGE (or INGEST_STORAGE__blobServiceUri): is it the account of this database?"
# No blob of a copy that retention is deleting, which a linked mail names as well, and none of a tenant that is being
# forgotten: they may be gone by right.
_NEWEST: LiteralString = """
select blob_name from ingest.message
where container = %(container)s and not ending and tenant_id::text is distinct from %(but)s
    and not exists (select from ingest.message as first where first.id = message.duplicate_of and first.ending)
order by id desc limit 1
"""


class Container(Protocol):
    """A blob container, as far as the proof needs it."""

    @property
    def container(self) -> str:
        """The container's name."""

    def has_container(self) -> bool:
        """Return whether the container is there. Raises BlobUnavailable."""

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        """Raise BlobProtected for a protected blob, BlobUnavailable; return whether the blob is there."""


def must_hold_records(database_url: str, container: Container) -> None:
    """Raise OperatorError as `must_be_ours`, and where no mail on record names the container."""
    if not must_be_ours(database_url, container):
        raise OperatorError(
            f"Nothing was deleted: no mail on record names the container {container.container}. {_ADVICE}"
        )


def must_be_ours(database_url: str, container: Container, *, but: str | None = None) -> bool:
    """Return True where a mail on record proves the account, False where none names the container.

    Raises OperatorError where the container is missing, or lacks the original of the newest mail on record there.
    `but`: the id of a tenant that does not count.
    """
    name = container.container
    try:
        if not container.has_container():
            raise OperatorError(f"Nothing was deleted: the storage account has no container {name}. {_ADVICE}")
        with connect(database_url) as connection:
            newest = connection.execute(_NEWEST, {"container": name, "but": but}).fetchone()
        if newest is None or _is_there(container, newest["blob_name"]):
            return newest is not None
    except BlobUnavailable as unavailable:
        raise OperatorError(
            f"Nothing was deleted: the storage account gives no answer for its container {name} ({unavailable}). "
            f"{_ADVICE}"
        ) from None
    raise OperatorError(
        f"Nothing was deleted: the container {name} lacks the newest mail on record, {newest['blob_name']}. {_ADVICE} "
        "If blobs were lost: messages verify, then messages restore."
    )


def _is_there(container: Container, name: str) -> bool:
    try:
        return container.must_be_unprotected(name, now=datetime.now(UTC))
    except BlobProtected:
        return True
