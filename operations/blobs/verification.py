"""The proof that what came in is what lies there: every blob on record read back, its length and hash compared.

Only reads: it works on a container with an immutability policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import batched
from typing import TYPE_CHECKING, LiteralString

from psycopg.rows import class_row

from ingest.errors import BlobMissing, OperatorError
from ingest.storage.database import Connection
from operations.blobs.containers import BlobReader
from operations.database import connect

if TYPE_CHECKING:  # heavy, and not needed by a command that opens no blob
    from ingest.storage.blobs import BlobStore

WORKERS = 8  # blobs that are read side by side
_BATCH = 256  # blobs that are asked for ahead

# A part may share its blob with its mail or with another part; each is read once.
_BLOBS: LiteralString = """
select distinct blob.container, blob.blob_name as name, blob.size, blob.sha256, message.claim_id as number
from ingest.message
cross join lateral (
    select message.container, message.blob_name, message.size, message.sha256
    union
    select message.container, part.blob_name, part.size, part.sha256
    from ingest.part where part.message_id = message.id and part.blob_name is not null
) as blob
where %(number)s::bigint is null or message.claim_id = %(number)s
order by number, name
"""
_COUNT: LiteralString = f"with found as ({_BLOBS}) select count(*) as blobs from found"  # noqa: S608 - both are ours
_RECORDED: LiteralString = """
select blob_name as name from ingest.message where container = %(container)s and blob_name = any(%(names)s)
union
select part.blob_name from ingest.part join ingest.message on message.id = part.message_id
where message.container = %(container)s and part.blob_name = any(%(names)s)
"""
_SEES_ALL: LiteralString = """
select rolsuper or rolbypassrls or pg_has_role(rolname, 'ingest_reader', 'usage')
    or pg_has_role(rolname, 'ingest_operator', 'usage') as sees_all
from pg_roles where rolname = current_user
"""


class Damage(StrEnum):
    """A defect of a blob."""

    MISSING = "missing"
    WRONG_LENGTH = "wrong_length"
    WRONG_CONTENT = "wrong_content"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedBlob:
    """A blob as it is on record: `size` in bytes, `sha256` in hex. `number`: the message's."""

    number: int
    container: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedBlob:
    """The state of a blob; `damage` is None where all is well."""

    blob: RecordedBlob
    damage: Damage | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unrecorded:
    """A blob that no record names."""

    container: str
    name: str
    modified_at: datetime


def unrecorded(database_url: str, container: BlobStore, name: str) -> Iterator[Unrecorded]:
    """Yield the blobs of the container `name` that no record names. Raises OperatorError, BlobUnavailable.

    They are of attempts that did not commit. A blob of a mail in work is among them.
    """
    with connect(database_url) as connection:
        must_see_all(connection)
        for batch in batched(container.modified(), _BATCH, strict=False):
            rows = connection.execute(_RECORDED, {"container": name, "names": [found for found, _ in batch]})
            recorded = {row["name"] for row in rows}
            for found, modified_at in batch:
                if found not in recorded:
                    yield Unrecorded(container=name, name=found, modified_at=modified_at)


class Verification:
    """The blobs of one message, or of all of them. Every call may raise OperatorError."""

    def __init__(self, database_url: str, *, reader: Callable[[str], BlobReader], number: int | None) -> None:
        """`reader` gives a container's by its name; `number`: the message's, None for all."""
        self._url = database_url
        self._reader = reader
        self._parameters = {"number": number}

    def count(self) -> int:
        """Return the number of blobs to read."""
        with connect(self._url) as connection:
            must_see_all(connection)
            row = connection.execute(_COUNT, self._parameters).fetchone()
            return int(row["blobs"]) if row else 0

    def check(self) -> Iterator[CheckedBlob]:
        """Yield each blob with its state, as it is read. Raises BlobUnavailable: the rest is not proved then."""
        with connect(self._url) as connection, ThreadPoolExecutor(WORKERS) as pool:
            must_see_all(connection)
            with connection.cursor("verify", row_factory=class_row(RecordedBlob)) as cursor:
                cursor.itersize = _BATCH
                for batch in batched(cursor.execute(_BLOBS, self._parameters), _BATCH, strict=False):
                    yield from pool.map(self._check, batch)

    def _check(self, blob: RecordedBlob) -> CheckedBlob:
        digest, size = hashlib.sha256(), 0
        try:
            for block in self._reader(blob.container).read(blob.name):
                digest.update(block)
                size += len(block)
        except BlobMissing:
            return CheckedBlob(blob=blob, damage=Damage.MISSING)
        if size != blob.size:
            return CheckedBlob(blob=blob, damage=Damage.WRONG_LENGTH)
        return CheckedBlob(blob=blob, damage=None if digest.hexdigest() == blob.sha256 else Damage.WRONG_CONTENT)


def must_see_all(connection: Connection) -> None:
    """Raise OperatorError for a role that does not see the rows of all tenants.

    Row-level security hides rows without an error: such a role would find nothing wrong, because it sees nothing.
    """
    row = connection.execute(_SEES_ALL).fetchone()
    if not row or not row["sees_all"]:
        raise OperatorError(
            "This role sees no tenant's mails: set INGEST_OPERATOR_DATABASE_URL to a login that is a member of "
            "ingest_operator (grant ingest_operator to …)."
        )
