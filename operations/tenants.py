"""Tenants as the database's owner sees them: their upload tokens, and whether they may receive.

The app itself can do none of this: its role only asks whose a token is (`ingest.storage.tenants`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from ingest.errors import OperatorError
from ingest.storage.database import Connection
from operations.database import connect

DEFAULT_GRACE = timedelta(days=30)  # as in the database's own trigger


class TenantState(StrEnum):
    """Whether mail for a tenant is ingested; otherwise it goes to Quarantine as tenant_inactive."""

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
    """A tenant with its tokens. `id` as `dms_tenant.id` has it; `name` is None where the DMS calls it otherwise."""

    id: int | UUID
    name: str | None
    token: str = field(repr=False)
    state: TenantState
    disabled_at: datetime | None
    disabled_by: str | None
    earlier: tuple[EarlierToken, ...]


# Names and is_active are read through jsonb, as not every DMS has these columns.
_SELECT: LiteralString = """
select tenant.id, to_jsonb(tenant) ->> 'name' as name, tenant.ingest_token::text as token,
    coalesce((to_jsonb(tenant) ->> 'is_active')::boolean, true) as is_active,
    disabled.disabled_at, disabled.disabled_by,
    coalesce((
        select array_agg(array[earlier.token, earlier.routes_until::text] order by earlier.routes_until)
        from ingest.token as earlier
        where earlier.tenant_id = tenant.id and earlier.routes_until > now()
    ), '{}') as earlier
from dms_tenant as tenant left join ingest.disabled_tenant as disabled on disabled.tenant_id = tenant.id
"""
_LIST: LiteralString = _SELECT + "order by tenant.id limit %(limit)s"
_FIND: LiteralString = (
    _SELECT
    + """where tenant.id::text = %(wanted)s
    or lower(replace(tenant.ingest_token::text, '-', '') collate "C") = ingest.normal_token(%(wanted)s)"""
)
_ADD = "insert into dms_tenant (name) values (%(name)s) returning id"
_SET_GRACE = "select set_config('ingest.token_grace', %(seconds)s || ' seconds', true)"
_ROTATE = "update dms_tenant set ingest_token = default where id = %(id)s"
_DISABLE = """
insert into ingest.disabled_tenant (tenant_id, disabled_by) values (%(id)s, %(by)s) on conflict do nothing
"""
_ENABLE = "delete from ingest.disabled_tenant where tenant_id = %(id)s"


class Tenants:
    """The tenants of one database, seen with its owner's rights. Every call raises OperatorError."""

    def __init__(self, owner_database_url: str) -> None:
        self._url = owner_database_url

    def first(self, *, limit: int) -> list[TenantRecord]:
        """Up to `limit` tenants by id."""
        with self._connected() as connection:
            return [_record(row) for row in connection.execute(_LIST, {"limit": limit})]

    def show(self, wanted: str) -> TenantRecord:
        """The tenant with this id or this present token."""
        with self._connected() as connection:
            return _find(connection, wanted)

    def add(self, name: str) -> TenantRecord:
        """A new tenant, where `name` is all that the DMS wants to know of one."""
        with self._connected() as connection:
            try:
                row = connection.execute(_ADD, {"name": name}).fetchone()
            except (psycopg.errors.NotNullViolation, psycopg.errors.UndefinedColumn) as error:
                column = error.diag.column_name or "name"
                raise OperatorError(
                    f"The DMS's own columns need more than a name ({column}): add the tenant in the DMS, "
                    "where it gets its token by itself."
                ) from None
            return _find(connection, str((row or {})["id"]))

    def rotate(self, wanted: str, *, grace: timedelta) -> TenantRecord:
        """Give the tenant a fresh token. The old one routes for `grace` more and is never given again."""
        with self._connected() as connection:
            tenant = _find(connection, wanted)
            connection.execute(_SET_GRACE, {"seconds": str(grace.total_seconds())})
            connection.execute(_ROTATE, {"id": tenant.id})
            return _find(connection, str(tenant.id))

    def disable(self, wanted: str, *, by: str) -> TenantRecord:
        """Mail to the tenant goes to Quarantine from now on. One that is disabled already stays as it is."""
        with self._connected() as connection:
            tenant = _find(connection, wanted)
            connection.execute(_DISABLE, {"id": tenant.id, "by": by})
            return _find(connection, str(tenant.id))

    def enable(self, wanted: str) -> TenantRecord:
        """Take `disable` back. What the DMS itself says of the tenant is not touched."""
        with self._connected() as connection:
            tenant = _find(connection, wanted)
            connection.execute(_ENABLE, {"id": tenant.id})
            return _find(connection, str(tenant.id))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with connect(self._url) as connection:
            yield connection


def _find(connection: Connection, wanted: str) -> TenantRecord:
    row = connection.execute(_FIND, {"wanted": wanted}).fetchone()
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
