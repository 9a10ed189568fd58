"""The end of what is kept: mails, Quarantine with its rejections, and claims, each after the days of its setting.

Each deletion is on the record of operator actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import LiteralString, Protocol

from ingest.errors import OperatorError
from ingest.model.message import QuarantinedMail
from ingest.model.message_ref import MessageRef
from operations.audit import Account
from operations.blobs.expiry import Container, Expired, StoredMails, batches, by_tenant
from operations.database import connect
from operations.settings import RetentionSettings

LEFT_DAYS = 30  # without a sign of life of a claim in a mailbox that is not in the settings
_LEFT_CLAIMS: LiteralString = """
select count(*) as due from ingest.claim
where state in ('waiting', 'processing', 'stored') and mailbox <> all (%(mailboxes)s)
    and greatest(first_seen_at, enqueued_at, next_try_at, lease_until) < %(before)s
"""
_END_LEFT_CLAIMS = "select ingest.end_left_claims(%(mailboxes)s, %(before)s, %(why)s, %(remark)s) as gone"
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
# A mail may come to Quarantine long after its receipt: its days count from there. Without a claim, a person moved it.
_RECENT: LiteralString = """
select message_id from ingest.claim
where mailbox = %(mailbox)s and message_id = any (%(ids)s) and (ended_at is null or ended_at >= %(before)s)
"""
_EXPIRE_REJECTIONS = """
select ingest.expire_rejections(%(tenant)s, %(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone
"""
_EXPIRE_CLAIMS = "select ingest.expire_claims(%(ids)s::bigint[], %(before)s, %(why)s, %(remark)s) as gone"


class Quarantine(Protocol):
    """The Quarantine folders, as far as their retention needs them."""

    def mails(self, mailbox: str) -> Iterator[QuarantinedMail]:
        """Yield the mails in the folder, oldest first."""

    def delete(self, ref: MessageRef, account: Account) -> None:
        """Move a mail to Deleted Items, and record that."""


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
        """Yield the outcome of each rule that has a setting, as soon as the rule is carried out.

        The marks of an earlier run and the claims of removed mailboxes need no setting. Each has an outcome where
        something is due.
        """
        now = now or datetime.now(UTC)
        stored = StoredMails(
            database_url=self.database_url, container=self.container, account=self.account, dry_run=self.dry_run
        )
        for outcome in (stored.marks(self.settings.mails, now), self._left_claims(now)):
            if outcome.due:
                yield outcome
        rules: list[tuple[str, int | None, Callable[[str, int, datetime], Expired]]] = [
            ("mails", self.settings.mails, stored.past_their_days),
            ("quarantine", self.settings.quarantine, self._quarantine),
            ("rejections", self.settings.quarantine, self._rejections),
            ("claims", self.settings.claims, self._claims),
        ]
        for name, days, carry_out in rules:
            if days is not None:
                yield carry_out(name, days, now - timedelta(days=days))

    def _left_claims(self, now: datetime) -> Expired:
        """End the unfinished claims of mailboxes that are not in the settings: nothing else ends them."""
        before = now - timedelta(days=LEFT_DAYS)
        parameters = {"mailboxes": list(self.mailboxes), "before": before}
        with connect(self.database_url) as connection:
            row = connection.execute(_LEFT_CLAIMS, parameters).fetchone()
        due = int((row or {"due": 0})["due"])
        gone = self._expire(_END_LEFT_CLAIMS, **parameters) if due and not self.dry_run else 0
        return Expired(rule="left", days=LEFT_DAYS, before=before, due=due, gone=gone)

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
        for batch in batches(self.database_url, _DUE_REJECTIONS, before):
            due += len(batch)
            for tenant, rows in () if self.dry_run else by_tenant(batch):
                ids = [row["id"] for row in rows]
                gone += self._expire(_EXPIRE_REJECTIONS, before=before, ids=ids, tenant=tenant)
        return Expired(rule=name, days=days, before=before, due=due, gone=gone)

    def _claims(self, name: str, days: int, before: datetime) -> Expired:
        due = gone = 0
        for batch in batches(self.database_url, _DUE_CLAIMS, before):
            due += len(batch)
            if not self.dry_run:
                gone += self._expire(_EXPIRE_CLAIMS, before=before, ids=[row["id"] for row in batch])
        return Expired(rule=name, days=days, before=before, due=due, gone=gone)

    def _expire(self, statement: LiteralString, **parameters: object) -> int:
        with connect(self.database_url) as connection:
            row = connection.execute(statement, {**self.account.parameters, **parameters}).fetchone()
        return int((row or {"gone": 0})["gone"])
