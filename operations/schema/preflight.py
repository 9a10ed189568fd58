"""The obstacles to a migration, named before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

MIN_SERVER_VERSION = 15_00_00  # views with the rights of the asking role (security_invoker)
ID_TYPES = ("integer", "bigint", "uuid")
TOKEN_TYPES = ("text", "character varying", "uuid")
ROLES = ("ingest_app", "ingest_operator", "ingest_reader")
TOKEN_LENGTH = 32  # of the tokens that the database makes

_ROLE = """
select current_user as name, rolsuper or rolcreaterole as may_create_roles,
    array(
        select wanted from unnest(%(roles)s::text[]) as wanted
        where not exists (select from pg_roles where rolname = wanted) order by wanted
    ) as missing_roles,
    has_database_privilege(current_database(), 'CREATE') as may_create_schemas,
    to_regnamespace('ingest') is not null as has_schema,
    coalesce(pg_has_role((select nspowner from pg_namespace where nspname = 'ingest'), 'USAGE'), true) as owns_schema,
    current_database() as database,
    current_schema() as schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) as may_create_tables
from pg_roles where rolname = current_user
"""

_TABLE = """
select pg_class.oid::regclass::text as name, relkind, pg_get_userbyid(relowner) as owner,
    pg_has_role(relowner, 'USAGE') as owned
from pg_class where oid = to_regclass(%(table)s)
"""

_COLUMN = """
select format_type(atttypid, null) as type, information_schema._pg_char_max_length(atttypid, atttypmod) as length
from pg_attribute
where attrelid = to_regclass(%(table)s) and attname = %(column)s and not attisdropped
"""

_UNIQUE_ID = """
select from pg_index
where indrelid = to_regclass('dms_tenant') and indisunique and indnkeyatts = 1 and indpred is null
    and indkey[0] = (select attnum from pg_attribute where attrelid = indrelid and attname = 'id')
"""

_DOUBLES = """
select string_agg(id::text, ', ' order by id::text) as ids
from dms_tenant where ingest_token::text <> ''
group by lower(replace(ingest_token::text, '-', '') collate "C") having count(*) > 1
order by 1 limit 5
"""


def problems(connection: psycopg.Connection[Any], *, applied: Collection[str]) -> list[str]:
    """Return the faults of server, role or tables, each with its remedy; empty where there are none.

    `applied`: the migrations that the database has; those ask for nothing any more. Changes nothing.
    """
    with connection.transaction():
        return list(_problems(connection, fresh=not applied))


def _problems(connection: psycopg.Connection[Any], *, fresh: bool) -> Iterator[str]:
    version = connection.info.server_version
    if version < MIN_SERVER_VERSION:
        yield f"PostgreSQL {version // 10_000} is too old: {MIN_SERVER_VERSION // 10_000} or newer is needed."
        return
    role = _one(connection, _ROLE, roles=list(ROLES)) or {}
    yield from _role_problems(role)
    tenants = _one(connection, _TABLE, table="dms_tenant")
    if tenants is None:
        if not role["may_create_tables"]:
            yield f"The role {role['name']} may not create tables in the schema {role['schema'] or 'public'}."
        return
    if tenants["relkind"] not in {"r", "p"}:
        yield f"{tenants['name']} is no table."
        return
    for table in (tenants, _one(connection, _TABLE, table="dms_emailconfig")):
        if table is not None and not table["owned"]:
            yield (
                f"The role {role['name']} does not own {table['name']}: migrate as {table['owner']}, "
                f"or: grant {table['owner']} to {role['name']}"
            )
    if fresh and tenants["owned"]:
        yield from _tenant_problems(connection)


def _role_problems(role: dict[str, Any]) -> Iterator[str]:
    if not role["owns_schema"]:
        yield f"The schema ingest belongs to another role than {role['name']}: migrate as its owner."
    if not role["has_schema"] and not role["may_create_schemas"]:
        yield (
            f"The role {role['name']} may not create schemas: "
            f'grant create on database "{role["database"]}" to "{role["name"]}"'
        )
    if role["missing_roles"] and not role["may_create_roles"]:
        wanted = "; ".join(f"create role {name} nologin" for name in role["missing_roles"])
        yield f"The role {role['name']} may not create roles. An administrator can do it beforehand: {wanted}"


def _tenant_problems(connection: psycopg.Connection[Any]) -> Iterator[str]:
    key = _one(connection, _COLUMN, table="dms_tenant", column="id")
    if key is None or key["type"] not in ID_TYPES:
        yield f"dms_tenant.id must be one of {', '.join(ID_TYPES)}, not {key['type'] if key else 'missing'}."
    elif _one(connection, _UNIQUE_ID) is None:
        yield "dms_tenant.id must be the primary key, or unique."
    token = _one(connection, _COLUMN, table="dms_tenant", column="ingest_token")
    if token is None:
        return
    if token["type"] not in TOKEN_TYPES:
        yield f"dms_tenant.ingest_token is {token['type']}, and must be one of {', '.join(TOKEN_TYPES)}."
        return
    if token["length"] is not None and token["length"] < TOKEN_LENGTH:
        yield f"dms_tenant.ingest_token holds {token['length']} characters only; {TOKEN_LENGTH} are needed."
    doubles = connection.execute(_DOUBLES).fetchall()
    for (ids,) in doubles:
        yield f"Tenants {ids} have the same ingest_token (case and dashes don't count): give all but one another."


def _one(connection: psycopg.Connection[Any], query: LiteralString, **parameters: object) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchone()
