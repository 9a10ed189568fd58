"""Old addresses of tenants: off until confirmed, to one tenant only, until their end, and on record for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.app import app
from ingest.errors import DatabaseUnavailable, OperatorError
from ingest.model.tenant import Tenant, TokenMatch
from operations.audit import Account, Audit
from operations.tenants.old_addresses import OldAddresses, Source
from operations.tenants.records import Tenants
from tests.integration.databases import OWNER, Database
from tests.integration.stores import Store, add_tenant, save

pytestmark = pytest.mark.shares("postgres")

ANNA = Account(why="a test", remark="anna")
WHY = ("--why", "a test")
OLD = "rechnung@tischlerei.example"
NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)


@pytest.fixture
def addresses(database: Database) -> OldAddresses:
    return OldAddresses(database.owner_url)


def routed(store: Store, *written: str) -> list[TokenMatch]:
    return store.tenants.resolve_addresses(written)


def confirmed(addresses: OldAddresses, tenant: Tenant, address: str = OLD) -> None:
    addresses.add(str(tenant.id), address, ANNA)
    addresses.confirm(address, ANNA, tenant=str(tenant.id), until=NEXT_YEAR)


def test_an_address_routes_only_once_it_is_confirmed(database: Database, store: Store, addresses: OldAddresses) -> None:
    tenant = add_tenant(database, "one")
    added = addresses.add(str(tenant.id), OLD, ANNA)
    assert (added.state, added.added_by, added.source) == ("unconfirmed", OWNER, "operator")
    assert routed(store, OLD) == []
    assert addresses.confirm(OLD, ANNA, tenant=None, until=NEXT_YEAR).confirmed_by == OWNER
    assert routed(store, "info@other.example", OLD) == [TokenMatch(position=2, tenant=tenant, active=True)]


def test_case_does_not_matter_and_nothing_else_is_like_it(
    database: Database, store: Store, addresses: OldAddresses
) -> None:
    confirmed(addresses, add_tenant(database, "one"), "Rechnung@Tischlerei.Example")
    assert len(routed(store, OLD.upper())) == 1
    for other in (
        "rechnung@tischlerei.example.evil",
        "xrechnung@tischlerei.example",
        "%@%",
        "",
        OLD + " ",
        OLD + "\0",
        "\ud800@x",
    ):
        assert routed(store, other) == []


def test_an_address_ends_on_its_day(database: Database, store: Store, addresses: OldAddresses) -> None:
    confirmed(addresses, add_tenant(database, "one"))
    database.run("update ingest.old_address set routes_until = now()")
    assert routed(store, OLD) == []
    assert [one.state for one in addresses.all(tenant=None, removed=False, limit=10)] == ["ended"]
    addresses.confirm(OLD, ANNA, tenant=None, until=NEXT_YEAR)
    assert len(routed(store, OLD)) == 1
    with pytest.raises(OperatorError, match="must be to come"):
        addresses.confirm(OLD, ANNA, tenant=None, until=datetime(2020, 1, 1, tzinfo=UTC))


def test_an_address_goes_to_one_tenant_only(database: Database, store: Store, addresses: OldAddresses) -> None:
    first, second = add_tenant(database, "one"), add_tenant(database, "two")
    confirmed(addresses, first)
    addresses.add(str(second.id), OLD, ANNA)
    with pytest.raises(OperatorError, match="several tenants"):
        addresses.confirm(OLD, ANNA, tenant=None, until=NEXT_YEAR)
    with pytest.raises(OperatorError, match="confirmed for another tenant"):
        addresses.confirm(OLD, ANNA, tenant=str(second.id), until=NEXT_YEAR)
    addresses.remove(OLD, ANNA, tenant=str(first.id))
    assert routed(store, OLD) == []
    addresses.confirm(OLD, ANNA, tenant=str(second.id), until=NEXT_YEAR)
    assert [match.tenant for match in routed(store, OLD)] == [second]


def test_what_is_removed_stays_on_record_and_may_come_again(database: Database, addresses: OldAddresses) -> None:
    tenant = add_tenant(database, "one")
    confirmed(addresses, tenant)
    assert addresses.remove(OLD, ANNA, tenant=None).removed_by == OWNER
    with pytest.raises(OperatorError, match="not on record"):
        addresses.remove(OLD, ANNA, tenant=None)
    addresses.add(str(tenant.id), OLD, ANNA)
    states = [one.state for one in addresses.all(tenant=str(tenant.id), removed=True, limit=10)]
    assert states == ["removed", "unconfirmed"]


def test_a_tenant_that_may_not_receive_is_not_active(database: Database, store: Store, addresses: OldAddresses) -> None:
    tenant = add_tenant(database, "one")
    confirmed(addresses, tenant)
    Tenants(database.owner_url).disable(str(tenant.id), ANNA)
    assert [match.active for match in routed(store, OLD)] == [False]
    database.run("delete from ingest.disabled_tenant", "update dms_tenant set is_active = false")
    assert [match.active for match in routed(store, OLD)] == [False]
    database.run("alter table dms_tenant drop column is_active")
    assert [match.active for match in routed(store, OLD)] == [True]


def test_a_confirmed_address_opens_the_context_of_its_tenant_and_of_no_other(
    database: Database, store: Store, addresses: OldAddresses
) -> None:
    tenant, other = add_tenant(database, "one"), add_tenant(database, "two")
    confirmed(addresses, tenant)
    (match,) = routed(store, OLD.upper())
    save(store, match.tenant, "redirected")
    assert database.value("select count(*) from ingest.claim where state = 'stored'") == 1
    with pytest.raises(DatabaseUnavailable, match="42501"):
        save(store, replace(other, proof=OLD), "another-tenants")
    addresses.remove(OLD, ANNA, tenant=None)
    with pytest.raises(DatabaseUnavailable, match="42501"):
        save(store, match.tenant, "removed")


def test_a_deleted_tenant_takes_its_addresses_along(database: Database, store: Store, addresses: OldAddresses) -> None:
    confirmed(addresses, add_tenant(database, "one"))
    database.run("delete from dms_tenant")
    assert routed(store, OLD) == []


@pytest.mark.parametrize(
    "wrong", ["", "nobody", "@x.example", "a b@x.example", "a@x@y.example", "ü@x.example", "a@-x.example", "a" * 321]
)
def test_what_is_no_address_is_refused(database: Database, addresses: OldAddresses, wrong: str) -> None:
    tenant = add_tenant(database, "one")
    with pytest.raises(OperatorError, match="is not a mail address"):
        addresses.add(str(tenant.id), wrong, ANNA)


def accounts(column: str) -> str:
    return (
        f"create table dms_emailconfig (id serial primary key, tenant_id bigint references dms_tenant, {column} text,"
        " password text)"
    )


@pytest.mark.parametrize("column", ["email", "username", "imap_username"])
def test_the_mail_accounts_of_the_dms_are_imported_without_their_credentials(
    database: Database, store: Store, addresses: OldAddresses, column: str
) -> None:
    tenant = add_tenant(database, "one")
    database.run(
        accounts(column),
        f"insert into dms_emailconfig (tenant_id, {column}, password) values"
        f" ({tenant.id}, '{OLD.upper()}', 'secret'), ({tenant.id}, 'login-only', 'secret'), (null, 'x@y.example', '')",
    )
    imported = addresses.add_mail_accounts(ANNA, column=None)
    assert (imported.added, imported.known, len(imported.skipped)) == (1, 0, 2)
    assert addresses.add_mail_accounts(ANNA, column=None).known == 1
    (one,) = addresses.all(tenant=None, removed=True, limit=10)
    assert (one.address, one.tenant_id, one.source, one.state) == (OLD, tenant.id, "dms_emailconfig", "unconfirmed")
    assert "secret" not in str(database.rows("select to_jsonb(t) from ingest.old_address as t"))
    assert routed(store, OLD) == []


def test_a_column_that_is_not_there_is_said(database: Database, addresses: OldAddresses) -> None:
    with pytest.raises(OperatorError, match="There is no table dms_emailconfig"):
        addresses.add_mail_accounts(ANNA, column=None)
    database.run(accounts("postfach"))
    with pytest.raises(OperatorError, match="--column"):
        addresses.add_mail_accounts(ANNA, column=None)
    with pytest.raises(OperatorError, match="--column"):
        addresses.add_mail_accounts(ANNA, column='x"; drop table dms_tenant; --')
    assert addresses.add_mail_accounts(ANNA, column="postfach").added == 0


def test_many_are_added_at_once_and_what_is_wrong_is_said_by_its_line(
    database: Database, addresses: OldAddresses
) -> None:
    tenant = add_tenant(database, "one")
    pairs = [(str(tenant.id), OLD), ("nobody", OLD), (str(tenant.id), "no address")]
    imported = addresses.add_all(pairs, ANNA, source=Source.CSV)
    assert imported.added == 1
    assert [line.partition(":")[0] for line in imported.skipped] == ["2", "3"]


def test_the_same_work_for_many_recipients_and_many_addresses(
    database: Database, store: Store, addresses: OldAddresses
) -> None:
    tenant = add_tenant(database, "one")
    confirmed(addresses, tenant)
    assert len(routed(store, *(f"n{number}@x.example" for number in range(5_000)), OLD)) == 1


# The command line


@pytest.fixture
def cli(database: Database) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        environment = {"INGEST_OWNER_DATABASE_URL": database.owner_url, "INGEST_ADDRESS_DOMAINS": "dms.example"}
        done = CliRunner().invoke(
            app, ["tenants", "old-addresses", *arguments], env=environment, catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_commands_from_a_file_to_the_end(
    tmp_path: Path, database: Database, store: Store, cli: Callable[..., str]
) -> None:
    tenant = add_tenant(database, "one")
    file = tmp_path / "old.csv"
    file.write_text(f"\ufefftenant,address\n{tenant.id},{OLD}\n", encoding="utf-8")
    assert "added    1" in cli("import", "--csv", str(file), "--by", "anna", *WHY)
    assert "unconfirmed" in cli("list")
    assert "routes" in cli("confirm", OLD, "--until", f"{NEXT_YEAR:%Y-%m-%d}", "--by", "bert", *WHY)
    assert len(routed(store, OLD)) == 1
    assert "removed" in cli("remove", OLD, "--by", "anna", *WHY)
    assert "mail routes by tokens alone" in cli("list")
    recorded = [(entry.action, entry.remark) for entry in Audit(database.owner_url).newest(limit=9)]
    assert recorded == [("address.remove", "anna"), ("address.confirm", "bert"), ("address.add", "anna")]


def test_an_address_of_ours_is_no_tenants_old_one(database: Database, cli: Callable[..., str]) -> None:
    tenant = add_tenant(database, "one")
    with pytest.raises(OperatorError, match="is an address of ours"):
        cli("add", str(tenant.id), "upload@dms.example", *WHY)
    with pytest.raises(OperatorError, match="is no day"):
        cli("confirm", OLD, "--until", "tomorrow", *WHY)
    with pytest.raises(OperatorError, match="either"):
        cli("import", *WHY)
