"""Tenants as operators see them: their upload tokens, whether they may receive, and what is stored for them.

The owner's functions do the work and record each action in the same transaction (migrations/versions). A member of
ingest_operator may call them. The app itself can do none of this: its role only resolves tokens
(`ingest.storage.tenants`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString, Protocol
from uuid import UUID

import psycopg

from ingest.errors import OperatorError
from ingest.model.message_ref import MessageRef
from ingest.storage.database import Connection
from operations.audit import Account, record_action
from operations.blobs.storage_account import must_be_ours
from operations.database import connect, connect_alone

DEFAULT_GRACE = timedelta(days=30)  # as in the database's own trigger
HOST_TIMEOUT = timedelta(minutes=30)  # functionTimeout in host.json: a longer attempt ends with its process


class TenantState(StrEnum):
    """The state of a tenant's address: mail for a tenant that is not active goes to Quarantine as tenant_inactive."""

    ACTIVE = "active"
    DISABLED = "disabled"  # by an operator, here
    INACTIVE = "inactive"  # in the DMS: dms_tenant.is_active is false


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierToken:
    """A token that was rotated away and still routes."""

    token: str = field(repr=False)
    routes_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantRecord:
    """A tenant with its tokens. `id` as `dms_tenant.id` has it; `name` is None where the DMS has no such column."""

    id: int | UUID
    name: str | None
    token: str = field(repr=False)
    state: TenantState
    disabled_at: datetime | None
    disabled_by: str | None
    earlier: tuple[EarlierToken, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdings:
    """The rows of one tenant by number, and the containers that its blobs are in."""

    messages: int
    documents: int
    containers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The mails of a tenant in the current hour, its budget, and the mails beyond the budget that wait for their turn.

    `budget`: mails an hour, where the tenant has a budget of its own.
    """

    mails_this_hour: int
    budget: int | None
    waiting: int
    waiting_since: datetime | None


class Container(Protocol):
    """A blob container, as far as forgetting a tenant needs it."""

    @property
    def container(self) -> str:
        """The container's name."""

    def has_container(self) -> bool:
        """Return whether the container is there. Raises BlobUnavailable."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the blobs below a prefix. Raises BlobUnavailable."""

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        """Raise BlobProtected for a protected blob, BlobUnavailable; return whether the blob is there."""

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone is done. Raises BlobProtected, BlobUnavailable."""


_LIST: LiteralString = "select * from ingest.tenants(%(wanted)s, %(limit)s)"
_MATCHING = """
select id, name from ingest.tenant_name
where id::text = %(text)s or strpos(lower(name), lower(%(text)s)) > 0
order by id::text <> %(text)s and name is distinct from %(text)s, name limit %(limit)s
"""
_ADD = "insert into dms_tenant (name) values (%(name)s) returning id"
ROTATE = "select ingest.rotate_token(%(id)s, %(grace)s, %(why)s, %(remark)s)"
_DISABLE = "select ingest.disable_tenant(%(id)s, %(why)s, %(remark)s)"
_ENABLE = "select ingest.enable_tenant(%(id)s, %(why)s, %(remark)s)"
_ASSIGN = "select ingest.assign_message(%(mailbox)s, %(message_id)s, %(id)s, %(why)s, %(remark)s)"
_STORED_FOR = """
select array(select tenant_id::text from ingest.message where claim_id = claim.id order by tenant_id) as tenants
from ingest.claim as claim
where mailbox = %(mailbox)s and message_id = %(message_id)s and state in ('stored', 'deleted')
"""
_NEWEST = "select max(stored_at) as stored_at from ingest.message where tenant_id = %(id)s"
_SET_BUDGET = "select ingest.set_budget(%(id)s, %(mails)s, %(why)s, %(remark)s)"
_LOAD = "select * from ingest.tenant_load(%(id)s)"
_HOLDINGS = "select * from ingest.holdings(%(id)s)"
# By Postgres's clock, which stamped the disabling.
_ATTEMPTS_END = """
select disabled_at + %(longest)s as at, disabled_at + %(longest)s > now() as ahead
from (select %(disabled_at)s::timestamptz as disabled_at) as tenant
"""
_FORGET = "select ingest.forget_tenant(%(id)s, %(messages)s, %(documents)s, %(why)s, %(remark)s)"


class Tenants:
    """The tenants of one database, with an operator's rights. Every call raises OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def first(self, *, limit: int) -> list[TenantRecord]:
        """Return up to `limit` tenants by id."""
        with connect(self._url) as connection:
            return [_record(row) for row in connection.execute(_LIST, {"wanted": None, "limit": limit})]

    def matching(self, text: str, *, limit: int) -> list[tuple[int | UUID, str | None]]:
        """Return id and name of tenants with `text` in their name or as their id; exact ones first, at most `limit`."""
        with connect(self._url) as connection:
            rows = connection.execute(_MATCHING, {"text": text, "limit": limit}) if text else ()
            return [(row["id"], row["name"]) for row in rows]

    def show(self, wanted: str) -> TenantRecord:
        """Return the tenant with this id, or with this token, present or earlier."""
        with connect(self._url) as connection:
            return find_tenant(connection, wanted)

    def add(self, name: str, account: Account) -> TenantRecord:
        """Add a tenant, as the database's owner, where `name` is the only column that the DMS requires."""
        if not name.strip():
            raise OperatorError("A tenant needs a name.")
        with connect(self._url) as connection:
            try:
                row = connection.execute(_ADD, {"name": name}).fetchone()
            except (psycopg.errors.NotNullViolation, psycopg.errors.UndefinedColumn) as error:
                column = error.diag.column_name or "name"
                raise OperatorError(
                    f"The DMS's own columns need more than a name ({column}): add the tenant in the DMS, "
                    "where it gets its token by itself."
                ) from None
            added = find_tenant(connection, str((row or {})["id"]))
            record_action(connection, "tenant.add", f"tenant {added.id}", account, details={})
            return added

    def rotate(self, wanted: str, account: Account, *, grace: timedelta) -> TenantRecord:
        """Give the tenant a fresh token. The old one routes for `grace` more and is never given again."""
        return self._change(ROTATE, wanted, account, grace=grace)

    def disable(self, wanted: str, account: Account) -> TenantRecord:
        """Send mail for the tenant to Quarantine from now on. A disabled tenant stays as it is."""
        return self._change(_DISABLE, wanted, account)

    def enable(self, wanted: str, account: Account) -> TenantRecord:
        """Take `disable` back. The DMS's own is_active is not touched."""
        return self._change(_ENABLE, wanted, account)

    def set_budget(self, wanted: str, account: Account, *, mails: int | None) -> TenantRecord:
        """Give the tenant a budget of mails an hour of its own; None: the one of all others again."""
        return self._change(_SET_BUDGET, wanted, account, mails=mails)

    def load(self, wanted: str) -> Load:
        """Return the tenant's mails of this hour, and those that wait."""
        with connect(self._url) as connection:
            row = connection.execute(_LOAD, {"id": find_tenant(connection, wanted).id}).fetchone() or {}
            return Load(**row)

    def assign(self, ref: MessageRef, wanted: str, account: Account) -> TenantRecord:
        """Choose the tenant of a message in place of the token in its address; good for one day.

        Raises OperatorError for a message that is stored already: the app files such a message for no other tenant.
        """
        with connect(self._url) as connection:
            row = connection.execute(_STORED_FOR, {"mailbox": ref.mailbox, "message_id": ref.message_id}).fetchone()
        if row is not None:
            tenants = ", ".join(row["tenants"]) or "a tenant that was forgotten"
            raise OperatorError(
                f"The mail is stored already (copies: {tenants}). Another tenant gets a copy when the mail is sent to "
                "its address again; the mail in Quarantine can be deleted."
            )
        return self._change(_ASSIGN, wanted, account, mailbox=ref.mailbox, message_id=ref.message_id)

    def holdings(self, wanted: str) -> Holdings:
        """Return what is stored for the tenant."""
        with connect(self._url) as connection:
            row = connection.execute(_HOLDINGS, {"id": find_tenant(connection, wanted).id}).fetchone() or {}
            return Holdings(
                messages=row["messages"], documents=row["documents"], containers=tuple(row["containers"] or ())
            )

    def forget(
        self,
        wanted: str,
        account: Account,
        *,
        confirmed: Holdings,
        containers: Sequence[Container],
        lease_seconds: float,
        retain_days: int | None = None,
    ) -> int:
        """Delete everything that is stored for one disabled tenant: blobs first, then rows. Returns the blobs' number.

        Blobs are those below the tenant's own prefix. A second run finishes what a first one began. Nothing is deleted
        - where the tenant is not disabled, or a mail that was routed before may still be in work,
        - where a mail is younger than `retain_days`, or a blob is protected,
        - where the storage account is not the one of the records.
        No row is deleted where the counts differ from the `confirmed` ones. `lease_seconds`: of a claim, by the app's
        settings. Raises BlobProtected and BlobUnavailable too.
        """
        tenant = self.show(wanted)
        if tenant.state is not TenantState.DISABLED:
            raise OperatorError(f"Tenant {tenant.id} is not disabled: tenants disable {tenant.id} first.")
        self._must_not_be_kept(tenant, retain_days)
        self._must_have_no_attempt(tenant, max(HOST_TIMEOUT, timedelta(seconds=lease_seconds)))
        if self.holdings(wanted) != confirmed:
            raise OperatorError("The tenant's holdings have changed since they were shown: look again.")
        with connect_alone(self._url):
            for container in containers:
                must_be_ours(self._url, container, but=str(tenant.id))
            count = _delete_blobs(f"{tenant.id}/", containers)
            self._change(_FORGET, wanted, account, messages=confirmed.messages, documents=confirmed.documents)
        return count

    def _must_have_no_attempt(self, tenant: TenantRecord, longest: timedelta) -> None:
        """Raise OperatorError while a mail that was routed before the tenant was disabled may be in work.

        A claim knows no tenant before its copy is committed: time decides. An attempt that routes later finds the
        tenant disabled.
        """
        with connect(self._url) as connection:
            row = connection.execute(_ATTEMPTS_END, {"disabled_at": tenant.disabled_at, "longest": longest}).fetchone()
        if row is not None and row["ahead"]:
            raise OperatorError(
                f"Nothing was deleted: a mail that came before tenant {tenant.id} was disabled may be in work until "
                f"{row['at'].astimezone(UTC):%Y-%m-%d %H:%M:%S}Z. Run the command again after that."
            )

    def _must_not_be_kept(self, tenant: TenantRecord, retain_days: int | None) -> None:
        if retain_days is None:
            return
        with connect(self._url) as connection:
            row = connection.execute(_NEWEST, {"id": tenant.id}).fetchone()
        newest: datetime | None = (row or {"stored_at": None})["stored_at"]
        until = None if newest is None else newest + timedelta(days=retain_days)
        if until is not None and until > datetime.now(UTC):
            raise OperatorError(
                f"The mails of tenant {tenant.id} are kept until {until:%Y-%m-%d} (INGEST_RETAIN_MAILS={retain_days}): "
                "nothing was deleted."
            )

    def _change(self, statement: LiteralString, wanted: str, account: Account, **parameters: object) -> TenantRecord:
        with connect(self._url) as connection:
            tenant = find_tenant(connection, wanted)
            connection.execute(statement, {"id": tenant.id, **account.parameters, **parameters})
            return find_tenant(connection, str(tenant.id))


def _delete_blobs(prefix: str, containers: Sequence[Container]) -> int:
    """Delete all blobs below a prefix, or none where one of them is protected; return their number."""
    for container in containers:
        for name in container.names(prefix):
            container.must_be_unprotected(name, now=datetime.now(UTC))
    count = 0
    for container in containers:
        for name in container.names(prefix):
            container.delete(name)
            count += 1
    return count


def find_tenant(connection: Connection, wanted: str) -> TenantRecord:
    """Return the tenant with an id or a token. Raises OperatorError where there is none."""
    row = connection.execute(_LIST, {"wanted": wanted, "limit": 1}).fetchone()
    if row is None:
        raise OperatorError(f"There is no tenant {wanted!r}: give its id or its token (see tenants list).")
    return _record(row)


def _record(row: dict[str, Any]) -> TenantRecord:
    earlier: Sequence[tuple[str, str]] = row["earlier"]
    state = TenantState.ACTIVE if row["is_active"] else TenantState.INACTIVE
    return TenantRecord(
        id=row["id"],
        name=row["name"],
        token=row["token"],
        state=TenantState.DISABLED if row["disabled_at"] else state,
        disabled_at=row["disabled_at"],
        disabled_by=row["disabled_by"],
        earlier=tuple(
            EarlierToken(token=token, routes_until=datetime.fromisoformat(until)) for token, until in earlier
        ),
    )
