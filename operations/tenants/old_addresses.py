"""Old addresses of tenants: for mail that was redirected without a token.

An address routes from its confirmation to its end, and to one tenant only. The owner's functions do the work and record
each action in the same transaction (migrations/versions). A removed address stays on record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from ingest.documents.headers.sender_address import MAX_ADDRESS
from ingest.errors import OperatorError
from ingest.storage.database import Connection
from operations.audit import Account
from operations.database import connect, rows_as
from operations.tenants.records import find_tenant

MAIL_ACCOUNTS = "dms_emailconfig"
# Columns of the DMS's mail accounts that may hold the address, the likeliest first.
ACCOUNT_COLUMNS = ("email", "email_address", "address", "mail", "username", "user", "login", "imap_username")
_ADDRESS = re.compile(r"[!-?A-~]+@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


class Source(StrEnum):
    """The origin of an address."""

    OPERATOR = "operator"
    CSV = "csv"
    MAIL_ACCOUNTS = "dms_emailconfig"


@dataclass(frozen=True, kw_only=True, slots=True)
class OldAddress:
    """An address on record. It routes where it is confirmed, not removed, and `routes_until` is to come."""

    id: int
    address: str = field(repr=False)
    tenant_id: int | UUID
    source: str
    added_at: datetime
    added_by: str
    confirmed_at: datetime | None
    confirmed_by: str | None
    routes_until: datetime | None
    removed_at: datetime | None
    removed_by: str | None

    @property
    def state(self) -> str:
        """One word: unconfirmed, routes, ended or removed."""
        if self.removed_at is not None:
            return "removed"
        if self.routes_until is None:
            return "unconfirmed"
        return "routes" if self.routes_until > datetime.now(UTC) else "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """The result of an import. `skipped`: what was no address, or of no tenant; by line, without its text."""

    added: int
    known: int
    skipped: tuple[str, ...]


_LIST = "select * from ingest.old_addresses(%(tenant)s, %(removed)s, %(limit)s)"
_PRESENT = """
select * from ingest.old_addresses(%(tenant)s, false, null) as old where address = %(address)s order by tenant_id
"""
_ADD = "select ingest.add_old_address(%(address)s, %(tenant)s, %(source)s, %(why)s, %(remark)s) as added"
_CONFIRM = "select ingest.confirm_old_address(%(id)s, %(until)s, %(why)s, %(remark)s)"
_REMOVE = "select ingest.remove_old_address(%(id)s, %(why)s, %(remark)s)"
_BY_ID = "select * from ingest.old_addresses(%(tenant)s, true, null) as old where id = %(id)s"
_ACCOUNT_COLUMNS = """
select attname as name from pg_attribute
where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped
"""
_TENANT_COLUMN = """
select attname as name from pg_constraint join pg_attribute on attrelid = conrelid and attnum = conkey[1]
where contype = 'f' and conrelid = to_regclass(%(table)s) and confrelid = to_regclass('dms_tenant')
    and cardinality(conkey) = 1
"""


def normal_address(text: str) -> str:
    """Return an address as it is compared: in lower case. Raises OperatorError where it is none."""
    address = text.strip().lower()
    if len(address) > MAX_ADDRESS or not _ADDRESS.fullmatch(address):
        raise OperatorError(f"{text.strip()!r} is not a mail address.")
    return address


class OldAddresses:
    """The old addresses of one database, with an operator's rights. Every call raises OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def all(self, *, tenant: str | None, removed: bool, limit: int) -> list[OldAddress]:
        """Return the addresses of one tenant or of all, with those that were removed where `removed` is true."""
        with connect(self._url) as connection:
            of = None if tenant is None else find_tenant(connection, tenant).id
            return _addresses(connection, _LIST, tenant=of, removed=removed, limit=limit)

    def add(self, tenant: str, address: str, account: Account) -> OldAddress:
        """Record an address; it does not route before it is confirmed. One that is known stays as it is."""
        with connect(self._url) as connection:
            tenant_id, normal = find_tenant(connection, tenant).id, normal_address(address)
            _add(connection, tenant_id, normal, Source.OPERATOR, account)
            return _present(connection, normal, tenant_id)

    def add_all(self, pairs: Iterable[tuple[str, str]], account: Account, *, source: Source) -> Imported:
        """Record pairs of tenant and address, in one transaction. Skip what is no address, or of no tenant."""
        added = known = 0
        skipped: list[str] = []
        with connect(self._url) as connection:
            for line, (tenant, text) in enumerate(pairs, start=1):
                try:
                    address, tenant_id = normal_address(text), find_tenant(connection, tenant).id
                except OperatorError as error:
                    skipped.append(f"{line}: {error}")
                    continue
                if _add(connection, tenant_id, address, source, account):
                    added += 1
                else:
                    known += 1
        return Imported(added=added, known=known, skipped=tuple(skipped))

    def add_mail_accounts(self, account: Account, *, column: str | None) -> Imported:
        """Record the addresses of the DMS's mail accounts, as the database's owner, before `migrate` drops these.

        `column`: the one that holds the address; by default the likeliest. No other column is read but the tenant's.
        """
        return self.add_all(list(self._mail_accounts(column)), account, source=Source.MAIL_ACCOUNTS)

    def _mail_accounts(self, column: str | None) -> Iterator[tuple[str, str]]:
        with connect(self._url) as connection:
            there = {row["name"] for row in connection.execute(_ACCOUNT_COLUMNS, {"table": MAIL_ACCOUNTS})}
            if not there:
                raise OperatorError(f"There is no table {MAIL_ACCOUNTS}: it was dropped, or this DMS had none.")
            chosen = column or next((name for name in ACCOUNT_COLUMNS if name in there), None)
            if chosen is None or chosen not in there:
                raise OperatorError(f"Name the column of {MAIL_ACCOUNTS} that holds the address: --column.")
            row = connection.execute(_TENANT_COLUMN, {"table": MAIL_ACCOUNTS}).fetchone()
            tenant = row["name"] if row else "tenant_id"
            query = sql.SQL("select {}::text as tenant, {}::text as address from {} order by 1, 2").format(
                sql.Identifier(tenant), sql.Identifier(chosen), sql.Identifier(MAIL_ACCOUNTS)
            )
            for row in connection.execute(query):
                yield row["tenant"] or "", row["address"] or ""

    def confirm(self, address: str, account: Account, *, tenant: str | None, until: datetime) -> OldAddress:
        """Let an address route until then. One that is confirmed gets the new end."""
        if until <= datetime.now(UTC):
            raise OperatorError("The end of an old address must be to come.")
        with connect(self._url) as connection:
            found = self._chosen(connection, address, tenant)
            try:
                return _changed(connection, _CONFIRM, found, account, until=until)
            except psycopg.errors.UniqueViolation:
                raise OperatorError(
                    f"{found.address} is confirmed for another tenant: end that first (tenants old-addresses remove)."
                ) from None

    def remove(self, address: str, account: Account, *, tenant: str | None) -> OldAddress:
        """Let an address route no more, at once. It stays on record."""
        with connect(self._url) as connection:
            return _changed(connection, _REMOVE, self._chosen(connection, address, tenant), account)

    def _chosen(self, connection: Connection, address: str, tenant: str | None) -> OldAddress:
        owner = None if tenant is None else find_tenant(connection, tenant).id
        return _present(connection, normal_address(address), owner)


def _add(connection: Connection, tenant_id: int | UUID, address: str, source: Source, account: Account) -> bool:
    row = connection.execute(
        _ADD, {"address": address, "tenant": tenant_id, "source": source, **account.parameters}
    ).fetchone()
    return bool((row or {})["added"])


def _present(connection: Connection, address: str, tenant: int | UUID | None) -> OldAddress:
    found = _addresses(connection, _PRESENT, address=address, tenant=tenant)
    if not found:
        raise OperatorError(f"{address} is not on record: add or import it first (tenants old-addresses).")
    if len(found) > 1:
        owners = ", ".join(str(one.tenant_id) for one in found)
        raise OperatorError(f"{address} is on record for several tenants ({owners}): choose one with --tenant.")
    return found[0]


def _changed(
    connection: Connection, statement: LiteralString, found: OldAddress, account: Account, **values: object
) -> OldAddress:
    connection.execute(statement, {"id": found.id, **account.parameters, **values})
    (changed,) = _addresses(connection, _BY_ID, id=found.id, tenant=found.tenant_id)
    return changed


def _addresses(connection: Connection, statement: LiteralString, **parameters: object) -> list[OldAddress]:
    return rows_as(connection, OldAddress, statement, parameters)
