"""The end of stored mails: a copy's blobs, and then its rows.

A blob that an immutability policy or a legal hold protects keeps its mail: the mail is reported with the day on which
the protection ends, and a later run deletes it. A mail that comes back while its copy goes stays in the inbox, and is
stored anew after that.

A run that broke off leaves its marks. The next run judges each of them by its own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, LiteralString, Protocol
from uuid import UUID

from ingest.errors import BlobProtected
from ingest.storage.database import Connection
from operations.audit import Account
from operations.blobs.storage_account import must_be_ours
from operations.database import connect, connect_alone

BATCH = 500  # rows that one statement deletes
FOR_EVER = datetime.min.replace(tzinfo=UTC)  # no mail was stored before
# With those that an earlier run marked and did not finish.
_DUE_COPIES: LiteralString = """
select id, tenant_id, container from ingest.message
where duplicate_of is null and id > %(after)s
    and stored_at < %(before)s and (ending or not ingest.is_kept(message, %(before)s))
order by id limit %(limit)s
"""
# Marked by an earlier run, and kept by the settings of now.
_KEPT_MARKS: LiteralString = """
select id, tenant_id, container from ingest.message
where ending and id > %(after)s and (stored_at >= %(before)s or ingest.is_kept(message, %(before)s))
order by id limit %(limit)s
"""
# Read after the mark, so that no part is added any more. The newest blob first: a policy of the container protects the
# newest one the longest. The original is the last one: every part can be taken from it again.
_MARKED: LiteralString = """
select message.id, message.tenant_id, message.claim_id as number, message.container,
    message.stored_at < %(before)s as past_its_days, array(
    select part.blob_name from ingest.part
    where part.message_id = message.id and part.blob_name is not null and part.blob_name <> message.blob_name
    group by part.blob_name order by max(part.id) desc
) || message.blob_name as blobs
from ingest.message where id = any (%(ids)s) order by id
"""
_MARK_ENDING: LiteralString = "select ingest.mark_ending(%(tenant)s, %(ids)s::bigint[], %(before)s) as ending"
_KEEP: LiteralString = "select ingest.keep_copies(%(tenant)s, %(ids)s::bigint[])"
_STAY: LiteralString = "select count(*) as stay from ingest.message where id = any (%(ids)s)"
_EXPIRE_COPIES = "select ingest.expire_copies(%(tenant)s, %(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone"


class Container(Protocol):
    """A blob container, as far as the end of a mail needs it."""

    @property
    def container(self) -> str:
        """The container's name."""

    def has_container(self) -> bool:
        """Return whether the container is there. Raises BlobUnavailable."""

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        """Raise BlobProtected for a protected blob, BlobUnavailable; return whether the blob is there."""

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone is done. Raises BlobProtected, BlobUnavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectedMail:
    """A mail with protected blobs. `until` is None for a protection without a known end."""

    number: int
    tenant_id: int | UUID
    until: datetime | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired:
    """One rule's outcome: `due` by the setting's `days`, `gone` of them (0 in a dry run), and the protected ones.

    Without `days`, and with `before` at FOR_EVER, mails are kept for ever. `missed`: for each mail that was not
    deleted, its number or message id and the reason.
    """

    rule: str
    days: int | None
    before: datetime
    due: int
    gone: int
    protected: tuple[ProtectedMail, ...] = ()
    missed: tuple[str, ...] = ()


@dataclass(kw_only=True)
class StoredMails:
    """The stored mails of one database with their blobs. May raise OperatorError and Later."""

    database_url: str = field(repr=False)
    container: Callable[[str], Container]
    account: Account
    dry_run: bool
    _known: set[str] = field(default_factory=set, init=False)  # containers of the right storage account

    def past_their_days(self, name: str, days: int, before: datetime) -> Expired:
        """Delete the copies that were stored before a moment, where the mail last left the mailbox before it, too.

        `name`: of the rule.
        """
        due = gone = 0
        protected: list[ProtectedMail] = []
        opened = connect if self.dry_run else connect_alone
        with opened(self.database_url) as connection:
            for batch in batches(self.database_url, _DUE_COPIES, before):
                due += len(batch)
                self._must_have_containers(batch)
                for tenant, rows in () if self.dry_run else by_tenant(batch):
                    ids = [row["id"] for row in rows]
                    gone += self._copies_deleted(connection, tenant, ids, before, protected)
        return Expired(rule=name, days=days, before=before, due=due, gone=gone, protected=tuple(protected))

    def _copies_deleted(
        self,
        connection: Connection,
        tenant: int | UUID | None,
        ids: Sequence[int],
        before: datetime,
        protected: list[ProtectedMail],
    ) -> int:
        """Delete copies of one tenant, blobs first; return their number.

        They are marked before: from then on no mail is linked to them, and none of their own mails is filed. A copy
        that is kept after all, for a newer link or for its mail in work, is not marked. Protected copies lose their
        mark as long as all of their blobs are there.
        """
        marked = (connection.execute(_MARK_ENDING, {"tenant": tenant, "ids": ids, "before": before}).fetchone() or {})[
            "ending"
        ]
        copies = connection.execute(_MARKED, {"ids": marked, "before": before}).fetchall()
        connection.commit()  # the mark counts from here on, and no lock is held while blobs go
        free, whole = list[int](), list[int]()
        for copy in copies:
            left = self._blobs_deleted(copy)
            if left is None:
                free.append(copy["id"])
                continue
            error, missing = left
            if not missing:
                whole.append(copy["id"])
            why = f"{error}; {missing} of its {len(copy['blobs'])} blobs are gone" if missing else str(error)
            protected.append(
                ProtectedMail(number=copy["number"], tenant_id=copy["tenant_id"], until=error.until, why=why)
            )
        connection.execute(_KEEP, {"tenant": tenant, "ids": whole})
        connection.execute(_EXPIRE_COPIES, {"tenant": tenant, "ids": free, "before": before, **self.account.parameters})
        stay = connection.execute(_STAY, {"ids": free}).fetchone()
        connection.commit()
        return len(free) - int((stay or {"stay": 0})["stay"])

    def _blobs_deleted(self, copy: dict[str, Any]) -> tuple[BlobProtected, int] | None:
        """Delete the blobs of a copy, unless one of them is protected.

        Returns None where all are gone, else the protection and the number of blobs that are gone. A policy of the
        container shows only as the service refuses to delete.
        """
        container, blobs = self.container(copy["container"]), copy["blobs"]
        missing, protection = 0, None
        for blob in blobs:
            try:
                missing += not container.must_be_unprotected(blob, now=datetime.now(UTC))
            except BlobProtected as error:
                protection = error
        if protection is not None:
            return protection, missing
        for number, blob in enumerate(blobs):
            try:
                container.delete(blob)
            except BlobProtected as error:
                return error, max(missing, number)
        return None

    def marks(self, days: int | None, now: datetime) -> Expired:
        """Judge the copies that an earlier run marked, and that are kept now: the mail came back, or the days grew.

        A copy that has lost no blob loses its mark. A copy that has lost all of them goes. One that has lost some goes
        by `past_their_days`, where its days have passed; else the copy stays and is reported.
        """
        before = FOR_EVER if days is None else now - timedelta(days=days)
        due = gone = 0
        missed: list[str] = []
        opened = connect if self.dry_run else connect_alone
        with opened(self.database_url) as connection:
            for batch in batches(self.database_url, _KEPT_MARKS, before):
                due += len(batch)
                self._must_have_containers(batch)
                for tenant, rows in () if self.dry_run else by_tenant(batch):
                    parameters = {"ids": [row["id"] for row in rows], "before": before}
                    copies = connection.execute(_MARKED, parameters).fetchall()
                    connection.commit()
                    kept, free = self._marks_judged(copies, missed)
                    connection.execute(_KEEP, {"tenant": tenant, "ids": kept})
                    if free:  # each call is an entry on the record of actions
                        expired = {"tenant": tenant, "ids": free, "before": now, **self.account.parameters}
                        connection.execute(_EXPIRE_COPIES, expired)
                    connection.commit()
                    gone += len(free)
        return Expired(rule="marks", days=days, before=before, due=due, gone=gone, missed=tuple(missed))

    def _marks_judged(self, copies: Sequence[dict[str, Any]], missed: list[str]) -> tuple[list[int], list[int]]:
        """Return the copies that stay, and those that have lost all blobs."""
        kept, free = list[int](), list[int]()
        for copy in copies:
            container, blobs = self.container(copy["container"]), copy["blobs"]
            missing = sum(not _is_there(container, blob) for blob in blobs)
            if missing == len(blobs):
                free.append(copy["id"])
            elif not missing or not copy["past_its_days"]:
                kept.append(copy["id"])
            if 0 < missing < len(blobs) and not copy["past_its_days"]:
                missed.append(
                    f"{copy['number']}: {missing} of its {len(blobs)} blobs are gone, and the mail is kept: "
                    f"messages restore {copy['number']} stores them again"
                )
        return kept, free

    def _must_have_containers(self, copies: Iterable[dict[str, Any]]) -> None:
        """Raise OperatorError where a container of these copies is not the one of the records."""
        for name in {copy["container"] for copy in copies} - self._known:
            must_be_ours(self.database_url, self.container(name))
            self._known.add(name)


def _is_there(container: Container, name: str) -> bool:
    try:
        return container.must_be_unprotected(name, now=datetime.now(UTC))
    except BlobProtected:
        return True


def batches(database_url: str, statement: LiteralString, before: datetime) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a statement by their ids, at most BATCH at a time. Raises OperatorError."""
    after = 0
    while True:
        with connect(database_url) as connection:
            parameters = {"before": before, "after": after, "limit": BATCH}
            batch = connection.execute(statement, parameters).fetchall()
        if not batch:
            return
        yield batch
        after = batch[-1]["id"]


def by_tenant(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int | UUID | None, list[dict[str, Any]]]]:
    """Yield the rows of each tenant."""
    in_order = sorted(rows, key=lambda row: str(row["tenant_id"]))
    for tenant, group in groupby(in_order, key=lambda row: row["tenant_id"]):
        yield tenant, list(group)
