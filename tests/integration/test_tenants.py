"""The life of a token: given, rotated, routed for a while, never given again; tenants switched off and on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from ingest.errors import OperatorError
from ingest.storage.database import Database as Pool
from ingest.storage.tenants import Tenants as Routes
from operations.audit import Account
from operations.tenants.records import TenantRecord, Tenants, TenantState
from tests.integration.databases import Database

pytestmark = pytest.mark.shares("postgres")

ACCOUNT = Account(why="a test", remark="anna")


@pytest.fixture
def tenants(database: Database) -> Tenants:
    return Tenants(database.owner_url)


@pytest.fixture
def store(database: Database) -> Iterator[Routes]:
    with closing(Pool(database.app_url)) as pool:
        yield Routes(pool)


def routes_to(store: Routes, token: str) -> list[tuple[object, bool]]:
    return [(match.tenant.id, match.active) for match in store.resolve_tokens([token])]


def test_a_token_routes_however_it_is_written(tenants: Tenants, store: Routes) -> None:
    tenant = tenants.add("one", ACCOUNT)
    token = tenant.token
    dashed = "-".join((token[:8], token[8:12], token[12:16], token[16:20], token[20:]))
    for written in (token, token.upper(), dashed, dashed.upper()):
        assert routes_to(store, written) == [(tenant.id, True)]


def test_places_name_the_candidate_that_matched(tenants: Tenants, store: Routes) -> None:
    one, two = tenants.add("one", ACCOUNT), tenants.add("two", ACCOUNT)
    matches = store.resolve_tokens(["nobody", two.token, "nobody-else", one.token])
    assert {(match.position, match.tenant.id) for match in matches} == {(2, two.id), (4, one.id)}


def test_after_a_rotation_both_tokens_route_until_the_grace_ends(
    tenants: Tenants, store: Routes, database: Database
) -> None:
    before = tenants.add("one", ACCOUNT)

    after = tenants.rotate(str(before.id), ACCOUNT, grace=timedelta(days=7))

    assert after.token != before.token
    assert [earlier.token for earlier in after.earlier] == [before.token]
    assert routes_to(store, before.token) == routes_to(store, after.token) == [(before.id, True)]
    database.run("update ingest.token set routes_until = now() where routes_until is not null")  # seven days go by
    assert routes_to(store, before.token) == []
    assert routes_to(store, after.token) == [(before.id, True)]
    assert tenants.show(after.token).earlier == ()


def test_a_leaked_token_ends_at_once(tenants: Tenants, store: Routes) -> None:
    before = tenants.add("one", ACCOUNT)
    tenants.rotate(str(before.id), ACCOUNT, grace=timedelta(0))
    assert routes_to(store, before.token) == []


def test_the_dms_rotates_by_an_update_with_thirty_days_of_grace(
    tenants: Tenants, store: Routes, database: Database
) -> None:
    before = tenants.add("one", ACCOUNT)
    database.run("update dms_tenant set ingest_token = default")
    assert routes_to(store, before.token) == [(before.id, True)]
    assert database.value(
        "select routes_until - now() between interval '29 days' and interval '30 days'"
        " from ingest.token where token = %(token)s",
        token=before.token,
    )


@pytest.mark.parametrize("written", ["{}", "{} with dashes"])
def test_a_token_is_never_given_twice(tenants: Tenants, database: Database, written: str) -> None:
    first = tenants.add("one", ACCOUNT)
    tenants.rotate(str(first.id), ACCOUNT, grace=timedelta(0))
    used = first.token.upper() if written == "{}" else f"{first.token[:8]}-{first.token[8:]}"

    with pytest.raises(psycopg.errors.UniqueViolation, match="tokens are never given twice"):
        database.run(f"insert into dms_tenant (name, ingest_token) values ('two', '{used}')")
    second = tenants.add("two", ACCOUNT)
    with pytest.raises(psycopg.errors.UniqueViolation, match="tokens are never given twice"):
        database.run(f"update dms_tenant set ingest_token = '{used}' where id = {second.id}")


def test_a_token_outlives_its_tenant(tenants: Tenants, store: Routes, database: Database) -> None:
    gone = tenants.add("one", ACCOUNT)
    database.run("delete from dms_tenant")
    assert routes_to(store, gone.token) == []
    with pytest.raises(psycopg.errors.UniqueViolation, match="tokens are never given twice"):
        database.run(f"insert into dms_tenant (name, ingest_token) values ('two', '{gone.token}')")


def test_a_save_of_stale_data_does_not_undo_a_rotation(tenants: Tenants, database: Database) -> None:
    before = tenants.add("one", ACCOUNT)
    after = tenants.rotate(str(before.id), ACCOUNT, grace=timedelta(days=1))
    database.run(f"update dms_tenant set name = 'renamed', ingest_token = '{before.token}'")
    database.run("update dms_tenant set ingest_token = ''")
    assert tenants.show(str(before.id)).token == after.token
    assert tenants.show(str(before.id)).name == "renamed"


def test_a_disabled_tenant_gets_no_mail_until_it_is_enabled(tenants: Tenants, store: Routes) -> None:
    tenant = tenants.add("one", ACCOUNT)

    disabled = tenants.disable(str(tenant.id), ACCOUNT)
    assert (disabled.state, disabled.disabled_by) == (TenantState.DISABLED, "anna")
    assert routes_to(store, tenant.token) == [(tenant.id, False)]
    assert tenants.disable(tenant.token, replace(ACCOUNT, remark="bert")).disabled_by == "anna"  # it stays as it was

    assert tenants.enable(str(tenant.id), ACCOUNT).state is TenantState.ACTIVE
    assert routes_to(store, tenant.token) == [(tenant.id, True)]


def test_a_tenant_that_is_inactive_in_the_dms_receives_nothing(
    tenants: Tenants, store: Routes, database: Database
) -> None:
    tenant = tenants.add("one", ACCOUNT)
    database.run("update dms_tenant set is_active = false")
    assert routes_to(store, tenant.token) == [(tenant.id, False)]
    assert tenants.enable(str(tenant.id), ACCOUNT).state is TenantState.INACTIVE  # the DMS's own business
    database.run("alter table dms_tenant drop column is_active")  # nor does every DMS have it
    assert routes_to(store, tenant.token) == [(tenant.id, True)]


def test_two_rotations_at_once_leave_one_present_token(tenants: Tenants, database: Database) -> None:
    tenant = tenants.add("one", ACCOUNT)

    def rotate(_: int) -> TenantRecord:
        return tenants.rotate(str(tenant.id), ACCOUNT, grace=timedelta(days=1))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(rotate, range(8)))
    assert database.value("select count(*) from ingest.token where routes_until is null") == 1
    assert database.value("select count(*) from ingest.token") == 9
    assert len(tenants.show(str(tenant.id)).earlier) == 8


def test_looking_a_token_up_is_the_same_work_among_many(tenants: Tenants, database: Database) -> None:
    """Pages read, counted by Postgres: an index's depth, for each number of tenants and of the planner."""
    token = tenants.add("one", ACCOUNT).token
    database.run("analyze")  # the planner believes in one tenant

    def pages() -> int:
        with database.owner() as owner:
            owner.execute("select * from ingest.route_tokens(array[%s], 1)", [token])  # catalogues read, plans made
            plan = owner.execute(
                "explain (analyze, buffers, format json) select * from ingest.route_tokens(array[%s], 1)", [token]
            ).fetchone()
        assert plan is not None
        node = plan[0][0]["Plan"]
        return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])

    few = pages()
    database.run("insert into dms_tenant (name) select 'tenant ' || n from generate_series(1, 20000) as n")
    assert pages() <= few + 6  # three indexes, each a level or two deeper


def test_what_is_not_there_is_said_clearly(tenants: Tenants, database: Database) -> None:
    with pytest.raises(OperatorError, match="There is no tenant '42'"):
        tenants.show("42")
    with pytest.raises(OperatorError, match=r"too weak.*INGEST_OWNER_DATABASE_URL"):
        Tenants(database.app_url).show("42")
    database.run("alter table dms_tenant add column slug text not null")
    with pytest.raises(OperatorError, match=r"need more than a name \(slug\): add the tenant in the DMS"):
        tenants.add("one", ACCOUNT)


def test_a_database_that_is_not_migrated_is_said_clearly(empty_database: Database) -> None:
    empty_database.run("create table dms_tenant (id bigint primary key, ingest_token text)")
    with pytest.raises(OperatorError, match="run python -m ingest migrate"):
        Tenants(empty_database.owner_url).show("42")
