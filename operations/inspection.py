"""Questions of an operator to Postgres with the app's own rights: claims, the schema's version, the role's powers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from ingest.model.claim import ClaimState
from operations.database import connect, rows_as


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRecord:
    """Everything that is on record of one message. `number` is short for mailbox and message id.

    Times are None where the step has not happened, or left no trace.
    """

    number: int
    mailbox: str
    message_id: str
    state: str
    trigger: str
    reason: str | None
    attempts: int
    crashes: int
    defects: int
    deferrals: int
    copies: int
    last_error: str | None
    assigned_by: str | None
    received_at: datetime | None
    first_seen_at: datetime
    enqueued_at: datetime | None
    next_try_at: datetime | None
    lease_until: datetime | None
    ended_at: datetime | None


SELECT_CLAIM: LiteralString = """
select id as number, mailbox, message_id, state, trigger, reason, attempts, crashes, defects, deferrals, copies,
    last_error, assigned_by, received_at, first_seen_at, enqueued_at, next_try_at, lease_until, ended_at
from ingest.claim
"""
_LIST: LiteralString = (
    SELECT_CLAIM + "where %(state)s::text is null or state = %(state)s order by id desc limit %(limit)s"
)
_FIND: LiteralString = SELECT_CLAIM + "where id::text = %(wanted)s or message_id = %(wanted)s"
_NUMBERS = "select message_id, id from ingest.claim where mailbox = %(mailbox)s and message_id = any(%(ids)s)"

_VERSION = "select version_num from ingest.schema_version"

# What would let the role around row-level security, or see more than it is to see.
_POWERS = """
with me as (select * from pg_roles where rolname = current_user)
select power from (
    select 'is a superuser' as power from me where rolsuper
    union all select 'passes by row-level security (BYPASSRLS)' from me where rolbypassrls
    union all select 'may create roles' from me where rolcreaterole
    union all select 'may create databases' from me where rolcreatedb
    union all select 'may replicate' from me where rolreplication
    union all select 'may create schemas in the database'
        where has_database_privilege(current_database(), 'CREATE')
    union all select format('may create tables in the schema %I', nspname) from pg_namespace
        where has_schema_privilege(oid, 'CREATE') and nspname not like 'pg\\_%%'
    union all select format('owns %s', pg_class.oid::regclass) from pg_class
        where relkind in ('r', 'p') and pg_has_role(relowner, 'USAGE')
            and relnamespace in (to_regnamespace('ingest'), current_schema()::regnamespace)
    union all select 'can read dms_tenant' from pg_class
        where oid = to_regclass('dms_tenant') and has_any_column_privilege(oid, 'SELECT')
    union all select format('is a member of %I', rolname) from pg_roles
        where rolname not in (current_user, 'ingest_app') and not (select rolsuper from me)
            and pg_has_role(oid, 'MEMBER')
) as powers
"""


class Inspection:
    """One database. Every call raises OperatorError."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def claims(self, *, state: ClaimState | None, limit: int) -> list[ClaimRecord]:
        """Return the newest claims, all or those in one state."""
        with connect(self._url) as connection:
            return rows_as(connection, ClaimRecord, _LIST, {"state": state, "limit": limit})

    def find(self, wanted: str) -> list[ClaimRecord]:
        """Return the claims with this number or this message id: of one message id, one per mailbox."""
        with connect(self._url) as connection:
            return rows_as(connection, ClaimRecord, _FIND, {"wanted": wanted})

    def numbers(self, mailbox: str, message_ids: list[str]) -> dict[str, int]:
        """Return the claims' numbers of those messages that have one."""
        with connect(self._url) as connection:
            rows = connection.execute(_NUMBERS, {"mailbox": mailbox, "ids": message_ids})
            return {row["message_id"]: row["id"] for row in rows}

    def schema_version(self) -> str | None:
        """Return the name of the last migration."""
        with connect(self._url) as connection:
            row = connection.execute(_VERSION).fetchone()
            return row["version_num"] if row else None

    def has_mail_accounts(self) -> bool:
        """Return True while the DMS's table of mail accounts is there."""
        with connect(self._url) as connection:
            row = connection.execute("select to_regclass('dms_emailconfig') is not null as there").fetchone()
            return bool(row and row["there"])

    def excess_powers(self) -> list[str]:
        """Return the rights of the role beyond those of `ingest_app`; none in a sound installation."""
        with connect(self._url) as connection:
            return [row["power"] for row in connection.execute(_POWERS)]
