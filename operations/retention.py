"""The end of what is kept: mails, Quarantine with its rejections, and claims, each after the days of its setting.

A blob that an immutability policy or a legal hold protects keeps its mail: the mail is reported with the day on which
the protection ends, and a later run deletes it. A mail that comes back while its copy goes stays in the inbox, and is
stored anew after that. Each deletion is on the record of operator actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, takewhile
from typing import Any, LiteralString, Protocol
from uuid import UUID

from ingest.errors import BlobProtected, OperatorError
from ingest.model.message import QuarantinedMail
from ingest.model.message_ref import MessageRef
from ingest.storage.database import Connection
from operations.audit import Account
from operations.database import connect, connect_alone
from operations.settings import RetentionSettings

BATCH = 500  # rows that one statement deletes
# With those that an earlier run marked and did not finish.
_DUE_COPIES: LiteralString = """
select id, tenant_id from ingest.message
where duplicate_of is null and id > %(after)s
    and (ending or stored_at < %(before)s and not ingest.is_kept(message, %(before)s))
order by id limit %(limit)s
"""
# Read after the mark, so that no part is added any more. The newest blob first: a policy of the container protects the
# newest one the longest. The original is the last one: every part can be taken from it again.
_MARKED: LiteralString = """
select message.id, message.tenant_id, message.claim_id as number, message.container, array(
    select part.blob_name from ingest.part
    where part.message_id = message.id and part.blob_name is not null and part.blob_name <> message.blob_name
    group by part.blob_name order by max(part.id) desc
) || message.blob_name as blobs
from ingest.message where id = any (%(ids)s) order by id
"""
_DUE_REJECTIONS: LiteralString = """
select id, tenant_id from ingest.rejection where rejected_at < %(before)s and id > %(after)s
order by id limit %(limit)s
"""
_DUE_CLAIMS: LiteralString = """
select id from ingest.claim
where state in ('deleted', 'quarantined', 'gone') and ended_at < %(before)s and id > %(after)s
    and not exists (select from ingest.message where message.claim_id = claim.id)
    and not exists (select from ingest.rejection where rejection.claim_id = claim.id)
order by id limit %(limit)s
"""
_MARK_ENDING: LiteralString = "select ingest.mark_ending(%(tenant)s, %(ids)s::bigint[], %(before)s) as ending"
_KEEP: LiteralString = "select ingest.keep_copies(%(tenant)s, %(ids)s::bigint[])"
_STAY: LiteralString = "select count(*) as stay from ingest.message where id = any (%(ids)s)"
_EXPIRE_COPIES = "select ingest.expire_copies(%(tenant)s, %(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone"
# A mail may come to Quarantine long after its receipt: its days count from there. Without a claim, a person moved it.
_RECENT: LiteralString = """
select message_id from ingest.claim
where mailbox = %(mailbox)s and message_id = any (%(ids)s) and (ended_at is null or ended_at >= %(before)s)
"""
_EXPIRE_REJECTIONS = """
select ingest.expire_rejections(%(tenant)s, %(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone
"""
_EXPIRE_CLAIMS = "select ingest.expire_claims(%(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone"


class Container(Protocol):
    """A blob container, as far as the end of a mail needs it."""

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        """Raise BlobProtected for a protected blob, BlobUnavailable; return whether the blob is there."""

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone is done. Raises BlobProtected, BlobUnavailable."""


class Quarantine(Protocol):
    """The Quarantine folders, as far as their retention needs them."""

    def mails(self, mailbox: str) -> Iterator[QuarantinedMail]:
        """Yield the mails in the folder, oldest first."""

    def delete(self, ref: MessageRef, account: Account) -> None:
        """Move a mail to Deleted Items, and record that."""


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

    `missed`: for each mail of Quarantine that was not deleted, its message id and the reason.
    """

    rule: str
    days: int
    before: datetime
    due: int
    gone: int
    protected: tuple[ProtectedMail, ...] = ()
    missed: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Retention:
    """The rules of `settings` on one database, its blobs and mailboxes. May raise OperatorError and Later."""

    settings: RetentionSettings
    database_url: str = field(repr=False)
    container: Callable[[str], Container]
    quarantine: Quarantine
    mailboxes: Sequence[str]
    account: Account
    dry_run: bool

    def run(self, now: datetime | None = None) -> Iterator[Expired]:
        """Yield the outcome of each rule that has a setting, as soon as the rule is carried out."""
        now = now or datetime.now(UTC)
        rules: list[tuple[str, int | None, Callable[[str, int, datetime], Expired]]] = [
            ("mails", self.settings.mails, self._mails),
            ("quarantine", self.settings.quarantine, self._quarantine),
            ("rejections", self.settings.quarantine, self._rejections),
            ("claims", self.settings.claims, self._claims),
        ]
        for name, days, carry_out in rules:
            if days is not None:
                yield carry_out(name, days, now - timedelta(days=days))

    def _mails(self, name: str, days: int, before: datetime) -> Expired:
        due = gone = 0
        protected: list[ProtectedMail] = []
        opened = connect if self.dry_run else connect_alone
        with opened(self.database_url) as connection:
            for batch in self._batches(_DUE_COPIES, before):
                due += len(batch)
                for tenant, rows in () if self.dry_run else _by_tenant(batch):
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
        copies = connection.execute(_MARKED, {"ids": marked}).fetchall()
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

    def _quarantine(self, name: str, days: int, before: datetime) -> Expired:
        mails = [mail for mailbox in self.mailboxes for mail in self._oldest(mailbox, before)]
        gone = 0
        missed: list[str] = []
        for mail in () if self.dry_run else mails:
            try:
                self.quarantine.delete(mail.ref, self.account)
                gone += 1
            except OperatorError as error:  # a person moved the mail meanwhile: the others go all the same
                missed.append(f"{mail.ref.message_id}: {error}")
        return Expired(rule=name, days=days, before=before, due=len(mails), gone=gone, missed=tuple(missed))

    def _oldest(self, mailbox: str, before: datetime) -> list[QuarantinedMail]:
        """Return the mails that were received, and came to Quarantine, before a moment."""
        mails = list(takewhile(lambda mail: mail.received_at < before, self.quarantine.mails(mailbox)))
        parameters = {"mailbox": mailbox, "ids": [mail.ref.message_id for mail in mails], "before": before}
        with connect(self.database_url) as connection:
            recent = {row["message_id"] for row in connection.execute(_RECENT, parameters)}
        return [mail for mail in mails if mail.ref.message_id not in recent]

    def _rejections(self, name: str, days: int, before: datetime) -> Expired:
        due = gone = 0
        for batch in self._batches(_DUE_REJECTIONS, before):
            due += len(batch)
            for tenant, rows in () if self.dry_run else _by_tenant(batch):
                gone += self._expire(_EXPIRE_REJECTIONS, before, ids=[row["id"] for row in rows], tenant=tenant)
        return Expired(rule=name, days=days, before=before, due=due, gone=gone)

    def _claims(self, name: str, days: int, before: datetime) -> Expired:
        due = gone = 0
        for batch in self._batches(_DUE_CLAIMS, before):
            due += len(batch)
            if not self.dry_run:
                gone += self._expire(_EXPIRE_CLAIMS, before, ids=[row["id"] for row in batch])
        return Expired(rule=name, days=days, before=before, due=due, gone=gone)

    def _batches(self, statement: LiteralString, before: datetime) -> Iterator[list[dict[str, Any]]]:
        after = 0
        while True:
            with connect(self.database_url) as connection:
                parameters = {"before": before, "after": after, "limit": BATCH}
                batch = connection.execute(statement, parameters).fetchall()
            if not batch:
                return
            yield batch
            after = batch[-1]["id"]

    def _expire(self, statement: LiteralString, before: datetime, **parameters: object) -> int:
        with connect(self.database_url) as connection:
            row = connection.execute(statement, {"before": before, **self.account.parameters, **parameters}).fetchone()
        return int((row or {"gone": 0})["gone"])


def _by_tenant(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int | UUID | None, list[dict[str, Any]]]]:
    in_order = sorted(rows, key=lambda row: str(row["tenant_id"]))
    for tenant, group in groupby(in_order, key=lambda row: row["tenant_id"]):
        yield tenant, list(group)
