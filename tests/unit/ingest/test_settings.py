"""Every setting, and everything wrong with them in one message that holds no secret."""

from datetime import date

import pytest

from ingest.errors import SettingsError
from ingest.settings import AddressSettings, DeleteMode, RouteMode, Settings, SweepScope, database_url
from tests.fakes.values import CLIENT_STATE, ENVIRONMENT, MAILBOX, OLD_CLIENT_STATE, OTHER_MAILBOX

SECRETS = ("leaked", CLIENT_STATE, OLD_CLIENT_STATE, "bGVha2Vk")


def settings(**changed: str) -> Settings:
    return Settings.from_env({**ENVIRONMENT, **changed})


def problems(**changed: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as wrong:
        settings(**changed)
    assert not any(secret in str(wrong.value) for secret in SECRETS)
    return wrong.value.problems


def test_settings_that_are_missing_have_their_defaults() -> None:
    read = settings()
    assert read.mailboxes == (MAILBOX,)
    assert read.authority_host == "https://login.microsoftonline.com"
    assert read.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert read.container == "documents"
    assert read.quarantine_folder == "Quarantine"
    assert read.address_domains == frozenset()
    assert (read.delete_mode, read.sweep_scope, read.route) == (DeleteMode.DELETE, SweepScope.UNREAD, RouteMode.FIRST)
    assert (read.sweep_limit, read.tenant_budget, read.lease_seconds, read.retry_seconds) == (2_500, 1_200, 600, 300)
    assert read.address_pattern.search("UPLOAD+0123456789ab@x.example")


def test_what_is_set_is_taken() -> None:
    read = settings(
        AZURE_AUTHORITY_HOST="https://login.microsoftonline.us/",
        GRAPH_BASE_URL="https://graph.microsoft.us/v1.0/",
        INGEST_CONTAINER="mails",
        INGEST_QUARANTINE_FOLDER="Nicht zugestellt",
        INGEST_ADDRESS_DOMAINS="DMS.example, @other.example",
        INGEST_ADDRESS_PATTERN=r"^in-(?P<token>\w+)@",
        INGEST_DELETE_MODE="Permanent",
        INGEST_SWEEP_SCOPE="all",
        INGEST_ROUTE="all",
        INGEST_SWEEP_LIMIT="50",
        INGEST_TENANT_BUDGET="0",
        INGEST_AUTHSERV_ID="mx.dms.example",
        INGEST_LEASE_SECONDS="30.5",
        INGEST_RETRY_SECONDS="0.5",
    )
    assert read.authority_host == "https://login.microsoftonline.us"
    assert read.graph_base_url == "https://graph.microsoft.us/v1.0"
    assert (read.container, read.quarantine_folder) == ("mails", "Nicht zugestellt")
    assert read.address_domains == {"dms.example", "other.example"}
    assert read.address_pattern.search("IN-abc@x")
    assert (read.delete_mode, read.sweep_scope, read.route) == (DeleteMode.PERMANENT, SweepScope.ALL, RouteMode.ALL)
    assert (read.sweep_limit, read.tenant_budget, read.lease_seconds, read.retry_seconds) == (50, 0, 30.5, 0.5)
    assert read.authserv_id == "mx.dms.example"


def test_mailboxes_and_client_states_are_lists_in_their_order() -> None:
    read = settings(AZURE_INGEST_MAILBOX=f" {MAILBOX.upper()}, {OTHER_MAILBOX},{MAILBOX}, ")
    assert read.mailboxes == (MAILBOX, OTHER_MAILBOX)
    assert read.client_states == (CLIENT_STATE, OLD_CLIENT_STATE)


def test_a_certificate_stands_in_for_the_secret_and_an_account_url_for_the_connection_string() -> None:
    read = settings(
        AZURE_INGEST_CLIENT_SECRET="",
        AZURE_INGEST_CLIENT_CERTIFICATE="/secrets/app.pem",
        INGEST_STORAGE="",
        INGEST_STORAGE__blobServiceUri="https://dms.blob.core.windows.net",
    )
    assert (read.client_secret, read.client_certificate) == (None, "/secrets/app.pem")
    assert (read.storage_connection, read.storage_url) == (None, "https://dms.blob.core.windows.net")


def test_the_notification_url_is_the_functions_own_on_azure() -> None:
    read = settings(INGEST_NOTIFICATION_URL="", WEBSITE_HOSTNAME="app.azurewebsites.net")
    assert read.notification_url == "https://app.azurewebsites.net"


def test_azurite_is_a_storage_account() -> None:
    assert settings(INGEST_STORAGE="UseDevelopmentStorage=true").storage_connection == "UseDevelopmentStorage=true"


def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.from_env({})
    named = [problem.split()[0] for problem in wrong.value.problems]
    assert sorted(named) == [
        "AZURE_INGEST_CLIENT_ID",
        "AZURE_INGEST_CLIENT_SECRET",
        "AZURE_INGEST_MAILBOX",
        "AZURE_INGEST_TENANT_ID",
        "INGEST_CLIENT_STATE",
        "INGEST_DATABASE_URL",
        "INGEST_NOTIFICATION_URL",
        "INGEST_STORAGE",
    ]
    assert all(name in str(wrong.value) for name in named)


WRONG = {
    "AZURE_INGEST_MAILBOX": ["not-an-address", "two words@x", "a@b/c", ",", "a@b,c"],
    "AZURE_AUTHORITY_HOST": ["http://login.example", "login.example", "https://", "https://[", "https://x/?y=1"],
    "GRAPH_BASE_URL": ["http://graph.example/v1.0", "ftp://graph.example", "https://[::1/v1.0", "https://x:port/"],
    "INGEST_NOTIFICATION_URL": ["app.example", "https://app.example/?code=1", "https://[", "file:///etc/passwd"],
    "INGEST_CLIENT_STATE": [
        ",",
        "x" * 129,
        f"good,{'x' * 129}",
        "short-secret",
        f"{'x' * 40},short",
        "a long random secret, up to 128 characters",  # the sample's
    ],
    "INGEST_DATABASE_URL": [
        "mysql://db/dms",
        "host=db dbname=dms",
        "postgresql://app:leaked@db.example/dms",
        "postgresql://app:leaked@db.example/dms?sslmode=prefer",
        "postgresql://app:leaked@db.example/dms?sslmode=allow",
        "postgresql://app@/dms?host=db.example",
        "postgresql://app:leaked@127.0.0.1,db.example/dms",
        "postgresql://app:leaked@10.0.0.4:5432/dms?connect_timeout=5",
    ],
    "INGEST_STORAGE": ["leaked-nonsense", "DefaultEndpointsProtocol=https;leaked", "AccountKey=leaked;"],
    "INGEST_STORAGE__blobServiceUri": ["dms.blob.example", "http://dms.blob.example"],
    "INGEST_CONTAINER": ["Documents", "a", "-documents", "docu--ments", "x" * 64, "docs/a"],
    "INGEST_QUARANTINE_FOLDER": ["Inbox", "deleted items", "Posteingang", "JUNK EMAIL"],
    "INGEST_ADDRESS_PATTERN": ["(", r"^upload\.(\w+)@"],
    "INGEST_ADDRESS_DOMAINS": ["upload@dms.example", "dms.example,@", "dms example"],
    "INGEST_DELETE_MODE": ["archive"],
    "INGEST_SWEEP_SCOPE": ["none"],
    "INGEST_ROUTE": ["last"],
    "INGEST_SWEEP_LIMIT": ["0", "-1", "many", "nan", "inf"],
    "INGEST_TENANT_BUDGET": ["-1", "many", "inf"],
    "INGEST_LEASE_SECONDS": ["0", "soon", "nan"],
    "INGEST_RETRY_SECONDS": ["0", "-3"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    assert [problem.split()[0] for problem in problems(**{name: value})] == [name]


def test_extensions_are_taken_with_and_without_their_dot() -> None:
    changed = settings(INGEST_BLOCK_EXTENSIONS=".Pages, mdb", INGEST_ALLOW_EXTENSIONS="iso")
    assert changed.blocked_extensions == {"pages", "mdb"}
    assert changed.allowed_extensions == {"iso"}
    assert any("INGEST_BLOCK_EXTENSIONS" in problem for problem in problems(INGEST_BLOCK_EXTENSIONS="*.exe"))


def test_the_domains_are_the_same_for_commands_and_in_their_order() -> None:
    told = {"INGEST_ADDRESS_DOMAINS": "@Other.example,DMS.example", "AZURE_INGEST_MAILBOX": MAILBOX}
    assert AddressSettings.from_env(told).domains == ("other.example", "dms.example")
    assert AddressSettings.from_env({"AZURE_INGEST_MAILBOX": "upload@DMS.cloud"}).domains == ("dms.cloud",)
    with pytest.raises(SettingsError, match="write the part behind the @ only"):
        AddressSettings.from_env({"INGEST_ADDRESS_DOMAINS": "upload@dms.example"})
    with pytest.raises(SettingsError, match="INGEST_ADDRESS_DOMAINS is missing"):
        AddressSettings.from_env({})


def test_everything_malformed_is_named_at_once() -> None:
    found = problems(**{name: values[0] for name, values in WRONG.items()})
    assert {problem.split()[0] for problem in found} == set(WRONG)


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(settings())
    assert not any(secret in shown for secret in SECRETS)


def test_the_database_alone_needs_nothing_else() -> None:
    assert (
        database_url({"INGEST_DATABASE_URL": "postgres://db/dms?sslmode=require"})
        == "postgres://db/dms?sslmode=require"
    )
    with pytest.raises(SettingsError, match="INGEST_DATABASE_URL is missing"):
        database_url({})


def test_a_managed_identity_needs_no_secret() -> None:
    read = settings(AZURE_INGEST_CLIENT_SECRET="", AZURE_CLIENT_ID="0f6c")
    assert (read.managed_identity, read.client_secret, read.client_certificate) == ("0f6c", None, None)


def test_something_has_to_sign_in() -> None:
    (problem,) = problems(AZURE_INGEST_CLIENT_SECRET="")
    for name in ("AZURE_INGEST_CLIENT_SECRET", "AZURE_INGEST_CLIENT_CERTIFICATE", "AZURE_CLIENT_ID"):
        assert name in problem


def test_the_end_of_the_secret_is_a_date() -> None:
    name = "AZURE_INGEST_CLIENT_SECRET_EXPIRES"
    assert settings(**{name: "2027-01-31"}).client_secret_expires == date(2027, 1, 31)
    assert settings().client_secret_expires is None
    assert problems(**{name: "31.01.2027"}) == (f"{name} must be a date such as 2027-01-31",)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example/dms?sslmode=verify-full&sslrootcert=system",
        "postgres://app@db.example/dms?sslmode=require",
        "postgresql://app@db.example/dms?sslmode=disable",  # said so
        "postgresql://app@localhost/dms",
        "postgresql://app@127.0.0.1:5433/dms",
        "postgresql://app@[::1]/dms",
        "postgresql:///dms",
        "postgresql:///dms?host=/var/run/postgresql",
    ],
)
def test_a_database_is_reached_by_tls_or_on_this_machine(url: str) -> None:
    assert settings(INGEST_DATABASE_URL=url).database_url == url
