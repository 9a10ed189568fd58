"""`doctor` on each broken thing: the check that names the thing, in one table.

`pytest -s tests/integration/test_doctor.py` prints the table with the words of each finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from azure.storage.queue import QueueServiceClient

from ingest.queues import EVENTS
from local.azurite import ACCOUNT_KEY
from local.processes import ROOT
from local.stack import Stack
from operations.schema import migrations
from tests.fakes.command_line import Done

pytestmark = pytest.mark.shares("stack")

NOWHERE = "http://127.0.0.1:1"
_SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A broken thing: what breaks it, the check that has to name it, and words of finding and advice.

    `settings` break the thing for the command alone, `breaking` for the length of a block. `warning`: the app works.
    """

    thing: str
    check: str
    says: str
    settings: Callable[[Stack], Mapping[str, str]] = lambda _: {}
    breaking: Callable[[Stack], AbstractContextManager[None]] = lambda _: nullcontext()
    arguments: Callable[[Stack], Sequence[str]] = lambda _: ()
    advises: str = ""
    refused: str | None = None  # a path below which Graph answers 403
    warning: bool = False


def sql(broken: str, mended: str) -> Callable[[Stack], AbstractContextManager[None]]:
    """Run a statement as the database's owner, and another one at the end."""

    @contextmanager
    def run(stack: Stack) -> Iterator[None]:
        with psycopg.connect(stack.postgres.owner_url, autocommit=True) as owner:
            owner.execute(broken)
            try:
                yield
            finally:
                owner.execute(mended)

    return run


@contextmanager
def heavy_deleted_items(stack: Stack) -> Iterator[None]:
    mailbox = stack.identity.mailboxes[0]
    mail = b"From: a@supplier.example\r\nTo: nobody@dms.cloud\r\nSubject: old\r\n\r\ntext\r\n"
    stack.admin.deliver(mail, [mailbox], folder="deleteditems")
    stack.admin.set_ballast(mailbox, "deleteditems", 40_000_000_000)
    yield
    stack.admin.set_ballast(mailbox, "deleteditems", 0)


@contextmanager
def read_mail(stack: Stack) -> Iterator[None]:
    """A mail that no notification announces, and that a person opens."""
    mail = b"From: a@supplier.example\r\nTo: nobody@dms.cloud\r\nSubject: opened\r\n\r\ntext\r\n"
    stack.admin.set_notification_faults(drop_probability=1.0)
    (message,) = stack.admin.deliver(mail, [stack.identity.mailboxes[0]])
    stack.admin.mark_read(message.id)
    yield
    stack.admin.set_notification_faults()
    stack.admin.move(message.id, "deleteditems")


@contextmanager
def no_subscription(stack: Stack) -> Iterator[None]:
    for subscription in stack.admin.subscriptions():
        stack.admin.remove_subscription(subscription.id)
    yield
    stack.subscribe()


@contextmanager
def poison(stack: Stack) -> Iterator[None]:
    with QueueServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        queue = service.create_queue(f"{EVENTS}-poison")
        queue.send_message("what a function gave up on")
        yield
        queue.delete_queue()


NAMES = migrations.names()
VERSION = "update ingest.schema_version set version_num = '{}'"

TABLE = (
    Broken(
        thing="Postgres is down",
        check="database",
        says="no server listens",
        settings=lambda _: {"INGEST_DATABASE_URL": "postgresql://x:y@127.0.0.1:1/z"},
    ),
    Broken(
        thing="the host of Postgres has a typo",
        check="database",
        says="no such host",
        settings=lambda _: {"INGEST_DATABASE_URL": "postgresql://x:y@no-host.invalid/z?sslmode=require"},
    ),
    Broken(
        thing="the password of Postgres is wrong",
        check="database",
        says="user or password is wrong",
        settings=lambda stack: {"INGEST_DATABASE_URL": _with_password(stack.postgres.app_url, "wrong")},
    ),
    Broken(
        thing="Postgres speaks no TLS, and TLS is asked for",
        check="database",
        says="TLS is not agreed on",
        settings=lambda stack: {"INGEST_DATABASE_URL": f"{stack.postgres.app_url}?sslmode=require"},
    ),
    Broken(
        thing="a mailbox left the settings before its mails were done",
        check="removed mailboxes",
        says="not in AZURE_INGEST_MAILBOX: 1 in former@dms.cloud",
        advises="until its mails are done",
        breaking=sql(
            "insert into ingest.claim (mailbox, message_id, state, trigger)"
            " values ('former@dms.cloud', 'left', 'waiting', 'webhook')",
            "delete from ingest.claim where message_id = 'left'",
        ),
        warning=True,
    ),
    Broken(
        thing="the last migration is not applied",
        check="database version",
        says=f"missing: {NAMES[-1]}",
        advises="python -m ingest migrate",
        breaking=sql(VERSION.format(NAMES[-2]), VERSION.format(NAMES[-1])),
    ),
    Broken(
        thing="the database is of a newer version",
        check="database version",
        says="was migrated by a newer version",
        advises="deploy the version",
        breaking=sql(VERSION.format("9999_of_tomorrow"), VERSION.format(NAMES[-1])),
    ),
    Broken(
        thing="the database has no schema of the app",
        check="database version",
        says="not migrated",
        advises="python -m ingest migrate",
        settings=lambda stack: {"INGEST_DATABASE_URL": stack.postgres.app_url.rpartition("/")[0] + "/postgres"},
    ),
    Broken(
        thing="there is no such database on the server",
        check="database",
        says="database",
        settings=lambda stack: {"INGEST_DATABASE_URL": stack.postgres.app_url + "x"},
    ),
    Broken(
        thing="there is no way to Entra",
        check="token",
        says="token endpoint: ",
        settings=lambda _: {"AZURE_AUTHORITY_HOST": "https://127.0.0.1:1"},
    ),
    Broken(
        thing="Entra's certificate is not trusted",
        check="token",
        says="SSLError",
        settings=lambda _: {"REQUESTS_CA_BUNDLE": ""},
    ),
    Broken(
        thing="the tenant id is wrong",
        check="token",
        says="token endpoint: builtins.ValueError",
        advises="AZURE_INGEST_TENANT_ID",
        settings=lambda _: {"AZURE_INGEST_TENANT_ID": "no-such-tenant"},
    ),
    Broken(
        thing="the client id is wrong",
        check="token",
        says="AADSTS700016",
        settings=lambda _: {"AZURE_INGEST_CLIENT_ID": "00000000-0000-4000-8000-000000000000"},
    ),
    Broken(
        thing="the client secret is wrong",
        check="token",
        says="AADSTS7000215",
        settings=lambda _: {"AZURE_INGEST_CLIENT_SECRET": "wrong"},
    ),
    Broken(
        thing="the certificate of the app is no file",
        check="token",
        says="can't be read",
        advises="a PEM file with the key",
        settings=lambda _: {"AZURE_INGEST_CLIENT_CERTIFICATE": "/no/such/file.pem"},
    ),
    Broken(
        thing="the app may read a mailbox that is not its own",
        check="other mailboxes",
        says="the app can read",
        advises="RBAC for Applications",
        arguments=lambda stack: ("--other-mailbox", stack.identity.mailboxes[0]),
    ),
    Broken(thing="the app has no role for the mailbox", check="mailbox access", says="403", refused="/mailFolders"),
    Broken(
        thing="the mailbox has a typo",
        check="mailbox access",
        says="uplaod@dms.cloud",
        advises="AZURE_INGEST_MAILBOX",
        settings=lambda _: {"AZURE_INGEST_MAILBOX": "uplaod@dms.cloud"},
    ),
    Broken(
        thing="the container has a typo",
        check="container",
        says="there is no container documnets",
        settings=lambda _: {"INGEST_CONTAINER": "documnets"},
    ),
    Broken(
        thing="the key of the storage account is wrong",
        check="container",
        says="blob container: ",
        settings=lambda stack: {
            "INGEST_STORAGE": stack.azurite.connection_string.replace(ACCOUNT_KEY, ACCOUNT_KEY.swapcase())
        },
    ),
    Broken(
        thing="the storage account is not reached",
        check="container",
        says="blob container: ",
        settings=lambda _: {
            "INGEST_STORAGE": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
            f"BlobEndpoint={NOWHERE}/a;QueueEndpoint={NOWHERE}/a"
        },
    ),
    Broken(
        thing="the clientState is that of the sample",
        check="settings",
        says="INGEST_CLIENT_STATE",
        settings=lambda _: {"INGEST_CLIENT_STATE": _SAMPLE["INGEST_CLIENT_STATE"]},
    ),
    Broken(
        thing="the clientState is not the subscription's",
        check="subscription",
        says="has none that is alive and right",
        settings=lambda _: {"INGEST_CLIENT_STATE": "another-long-secret"},
    ),
    Broken(
        thing="the subscription is gone",
        check="subscription",
        says="has none that is alive and right",
        advises="subscriptions renew",
        breaking=no_subscription,
    ),
    Broken(
        thing="another program answers at the notification URL",
        check="notification URL",
        says="answered 4",
        settings=lambda stack: {"INGEST_NOTIFICATION_URL": stack.azurite.blob.endpoint},
    ),
    Broken(
        thing="the notification URL leads nowhere",
        check="notification URL",
        says="not reached",
        settings=lambda _: {"INGEST_NOTIFICATION_URL": NOWHERE},
    ),
    Broken(
        thing="the queue's account is not set",
        check="queue",
        says="AzureWebJobsStorage is missing",
        settings=lambda _: {"AzureWebJobsStorage": ""},
    ),
    Broken(
        thing="the queue is not reached",
        check="queue",
        says="queue",
        settings=lambda _: {
            "AzureWebJobsStorage": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
            f"BlobEndpoint={NOWHERE}/a;QueueEndpoint={NOWHERE}/a"
        },
    ),
    Broken(
        thing="a poison queue is not empty",
        check="queue",
        says=f"1 in {EVENTS}-poison",
        breaking=poison,
        warning=True,
    ),
    Broken(
        thing="Deleted Items fill the mailbox",
        check="deleted items",
        says="40.0 of 50 GB",
        advises="retention policy",
        breaking=heavy_deleted_items,
        warning=True,
    ),
    Broken(
        thing="a person has read a mail in the inbox",
        check="read mails",
        says="were read by a person, and no sweep takes them: 1 in",
        advises="INGEST_SWEEP_SCOPE=all",
        breaking=read_mail,
        warning=True,
    ),
    Broken(
        thing="Defender scans, and the app does not know it",
        check="malware scan",
        says="3 results of Defender for Storage came within a week",
        advises="INGEST_SCANNER=defender",
        breaking=sql(
            "insert into ingest.unexpected_scan (day, results) values (current_date, 3)",
            "delete from ingest.unexpected_scan",
        ),
    ),
    Broken(
        thing="the app's login is the owner's",
        check="database role",
        says="the role in INGEST_DATABASE_URL",
        advises="ingest_app",
        settings=lambda stack: {"INGEST_DATABASE_URL": stack.postgres.owner_url},
    ),
    Broken(
        thing="the scanner is down",
        check="malware scan",
        says="clamd",
        advises="Is the scanner up",
        settings=lambda _: {"INGEST_SCANNER": "clamav", "INGEST_CLAMD": "127.0.0.1:1"},
    ),
)


def _with_password(url: str, password: str) -> str:
    before, _, after = url.rpartition("@")
    return f"{before.rpartition(':')[0]}:{password}@{after}"


def findings(done: Done) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(done.out)}


@pytest.fixture
def clean(stack: Stack) -> Iterator[None]:
    yield
    stack.admin.clear_faults()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("broken", TABLE, ids=lambda broken: broken.thing)
def test_the_broken_thing_is_named_with_what_to_do(
    stack: Stack, cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    for name, value in broken.settings(stack).items():
        monkeypatch.setenv(name, value)
    if broken.refused is not None:
        stack.admin.add_fault(403, path=broken.refused)
    with broken.breaking(stack):
        found = findings(cli("doctor", "--json", *broken.arguments(stack)))
    named = found[broken.check]
    print(f"| {broken.thing} | {broken.check} | {named['said']} | {named['advice']} |")  # noqa: T201 - the table, for a run with -s
    status = "warning" if broken.warning else "failed"
    assert (named["status"], broken.says in named["said"]) == (status, True), named
    assert named["advice"]
    assert broken.advises in named["advice"]
    # Of the failures, the first is the broken thing. The subscription stands before the URL that it is made for.
    failed = [name for name, one in found.items() if one["status"] == "failed" and name != "subscription"]
    assert failed[:1] == ([] if broken.warning else [broken.check]) or broken.check == "subscription"


def test_quarantine_is_counted_with_its_age_and_junk_is_a_warning(stack: Stack, cli: Callable[..., Done]) -> None:
    mailbox = stack.identity.mailboxes[0]
    mail = b"From: a@supplier.example\r\nTo: nobody@dms.cloud\r\nSubject: no token\r\n\r\ntext\r\n"
    ids = {stack.admin.deliver(mail, [mailbox])[0].id for _ in range(3)}
    for message_id in ids:
        stack.wait_for_end(message_id, "Quarantine")
    junk = ids.pop()
    stack.admin.move(junk, "junkemail")
    try:
        count = stack.admin.folders(mailbox)["Quarantine"]
        found = findings(cli("doctor", "--json"))
    finally:
        stack.admin.move(junk, "Quarantine")
    assert count >= len(ids)
    assert f"{mailbox}: {count} in Quarantine, the oldest of 0 days" in found["quarantine folder"]["said"]
    assert found["quarantine folder"]["status"] == "ok"
    assert (found["junk email"]["status"], f"1 in {mailbox}" in found["junk email"]["said"]) == ("warning", True)
    assert found["junk email"]["advice"]


def test_a_check_that_needs_the_broken_thing_is_left_out(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_DATABASE_URL", "postgresql://x:y@127.0.0.1:1/z")
    found = findings(cli("doctor", "--json"))["mailbox access"]
    assert (found["status"], found["said"]) == ("skipped", "needs: database")


def test_a_mail_that_fails_for_more_than_a_day_is_a_warning(stack: Stack, cli: Callable[..., Done]) -> None:
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as owner:
        owner.execute(
            "insert into ingest.claim"
            " (mailbox, message_id, state, trigger, first_seen_at, next_try_at, last_error) values"
            " ('upload@dms.cloud', 'fails', 'waiting', 'webhook', now() - interval '25 hours',"
            " now() + interval '1 day', 'GraphUnavailable: get_mime: 504')"
        )
        found = findings(cli("doctor", "--json"))["failing mails"]
        owner.execute("delete from ingest.claim where message_id = 'fails'")
    assert (found["status"], "1 were tried in vain" in found["said"]) == ("warning", True)
    assert "messages list --state waiting" in found["advice"]
