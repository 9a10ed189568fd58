"""The operator's commands against the running system, and `doctor` on one that is well and on ones that are not."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.stack import Stack
from local.tenants import LocalTenant
from operations.origin import origin
from tests.fakes.command_line import Done
from tests.integration.databases import Server
from tests.integration.stores import copies

pytestmark = pytest.mark.shares("stack")

PDF = b"%PDF-1.7\n%%EOF\n"
WHY = ("--why", "a test")


@pytest.fixture
def clean(stack: Stack) -> Iterator[None]:
    """Faults of a test end with it."""
    yield
    stack.admin.set_notification_faults()
    stack.admin.clear_faults()


def ok(done: Done) -> Any:  # noqa: ANN401 - what the command printed
    assert done.code == 0, done.err
    return json.loads(done.out)


def send(stack: Stack, *to: str, subject: str) -> str:
    """The Graph id of the mail."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "billing@supplier.example", ", ".join(to), subject
    mail["Message-ID"] = make_msgid(domain="supplier.example")
    mail.set_content("Anbei die Rechnung.")
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="rechnung.pdf")
    (message,) = stack.admin.deliver(mail.as_bytes(), [stack.identity.mailboxes[0]])
    return message.id


def tenant_of(stack: Stack, name: str) -> LocalTenant:
    return stack.add_tenant(name)


def test_a_tenant_is_added_rotated_disabled_and_shown(cli: Callable[..., Done]) -> None:
    added = ok(cli("tenants", "add", "Bäckerei Köhler", *WHY, "--json"))
    assert added["address"].startswith("upload.")
    assert added["state"] == "active"
    number = str(added["id"])

    assert cli("tenants", "address", number).out == f"{added['address']}\n"
    rotated = ok(cli("tenants", "rotate", number, "--grace", "12h", *WHY, "--json"))
    assert rotated["address"] != added["address"]
    assert rotated["earlier_addresses"][0].startswith(added["address"])
    assert ok(cli("tenants", "show", rotated["address"], "--json")) == rotated
    disabled = ok(cli("tenants", "disable", number, "--by", "anna", *WHY, "--json"))
    assert (disabled["state"], disabled["disabled_by"]) == ("disabled", "anna")
    assert [one["state"] for one in ok(cli("tenants", "list", "--json")) if str(one["id"]) == number] == ["disabled"]
    assert ok(cli("tenants", "enable", number, *WHY, "--json"))["state"] == "active"
    assert "Bäckerei Köhler" in cli("tenants", "list").out


def test_the_apps_own_role_is_refused_as_too_weak(cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGEST_OWNER_DATABASE_URL")
    for command in (("tenants", "list"), ("tenants", "rotate", "1", *WHY)):
        done = cli(*command)
        assert done.code == 1
        assert "set INGEST_OWNER_DATABASE_URL" in done.err
    assert "migrate as dms_owner" in cli("migrate").err


def test_a_mail_in_quarantine_is_assigned(stack: Stack, cli: Callable[..., Done]) -> None:
    tenant = tenant_of(stack, "Assigned GmbH")
    mail = send(stack, "upload.nobodystoken00@dms.cloud", subject="Adresse vertippt")
    stack.wait_for_end(mail, "Quarantine")

    (listed,) = [one for one in ok(cli("quarantine", "list", "--json")) if one["subject"] == "Adresse vertippt"]
    assert listed["reason"] == "unknown_token"
    assert listed["sender"] == "billing@supplier.example"
    number = str(listed["number"])
    assert ok(cli("messages", "show", number, "--json"))["message_id"] == mail

    wrong = cli("quarantine", "assign", number, "--tenant", "upload.alsonobodys00@dms.cloud", *WHY)
    assert (wrong.code, copies(stack, mail)) == (1, [])
    assert "There is no tenant 'alsonobodys00'" in wrong.err
    done = cli("quarantine", "assign", number, "--tenant", tenant.id, "--by", "anna", *WHY)
    assert done.code == 0, done.err
    assert "1 document(s)" in done.out
    assert copies(stack, mail) == [(tenant.id, "anna")]
    stack.wait_for_end(mail, "deleted")
    shown = ok(cli("messages", "show", number, "--json"))
    assert (shown["state"], shown["assigned_by"], shown["reason"]) == ("deleted", "anna", None)
    again = cli("quarantine", "assign", number, "--tenant", tenant.address, *WHY)
    assert (again.code, len(copies(stack, mail))) == (1, 1)
    assert "not in" in again.err


def test_one_mail_has_one_number_everywhere_and_everything_on_record_is_shown(
    stack: Stack, cli: Callable[..., Done], tmp_path: Path
) -> None:
    for subject in ("the one before", "Rechnung mit einer Nummer"):  # so that the numbers of claim and copy may differ
        mail = send(stack, stack.add_tenant("Nummern GmbH").address, subject=subject)
        stack.wait_for_end(mail, "deleted")
    number = ok(cli("messages", "show", mail, "--json"))["number"]
    (listed,) = [one for one in ok(cli("messages", "list", "--json")) if one["message_id"] == mail]
    found = ok(cli("messages", "find", str(number), "--json"))
    with psycopg.connect(stack.postgres.owner_url) as owner:
        statement = "select number from ingest.{} where subject = 'Rechnung mit einer Nummer'"
        views = [owner.execute(statement.format(view).encode()).fetchall() for view in ("delivered", "mail_history")]
    assert cli("messages", "export", str(number), "--to", str(tmp_path / "x.zip"), *WHY).code == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        (manifest,) = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("manifest.json")]
    assert listed["number"] == manifest["mail"]["number"] == number
    assert number in {one["number"] for one in found if one["subject"] == "Rechnung mit einer Nummer"}
    assert views == [[(number,)]] * 2

    shown = cli("messages", "show", str(number)).out
    for text in (
        "Nummern GmbH",
        "billing@supplier.example",
        "Rechnung mit einer Nummer",
        "rechnung.pdf",
        "file",
        "application/pdf",
    ):
        assert text in shown
    assert "deleted" not in shown.replace("deleted at", "")
    assert re.search(r"^state +stored$", shown, re.MULTILINE)
    assert re.search(r"^internet message id +<\S+@supplier\.example>$", shown, re.MULTILINE)
    (copy,) = ok(cli("messages", "show", str(number), "--json"))["copies"]
    assert [(part["name"], part["disposition"], part["rule"]) for part in copy["parts"]] == [
        ("rechnung.pdf", "document", "file")
    ]


def test_quarantine_is_listed_and_released_by_reason_with_a_warning_and_a_record(
    stack: Stack, cli: Callable[..., Done]
) -> None:
    tenant = tenant_of(stack, "Pause GmbH")
    assert cli("tenants", "disable", tenant.id, *WHY).code == 0
    mail, other = send(stack, tenant.address, subject="Pause"), send(stack, "nobody@dms.cloud", subject="Kein Ziel")
    stack.wait_for_end(mail, "Quarantine")
    stack.wait_for_end(other, "Quarantine")

    listed = ok(cli("quarantine", "list", "--reason", "tenant_inactive", "--json"))
    assert {one["reason"] for one in listed} == {"tenant_inactive"}
    assert [(one["subject"], one["age_days"]) for one in listed if one["subject"] == "Pause"] == [("Pause", 0)]
    too_early = cli("quarantine", "release", "--reason", "tenant_inactive", "--why", "too early")
    assert too_early.code == 0, too_early.err
    assert f"warning: {mail} will come back as tenant_inactive: its tenant is still switched off" in too_early.err
    stack.wait_for_end(mail, "Quarantine")

    assert cli("tenants", "enable", tenant.id, *WHY).code == 0
    released = cli("quarantine", "release", "--reason", "tenant_inactive", "--why", "enabled")
    assert "warning" not in "".join(line for line in released.err.splitlines() if mail in line)
    stack.wait_for_end(mail, "deleted")
    assert copies(stack, mail) == [(tenant.id, None)]
    (kept,) = [one for one in stack.admin.messages() if one.id == other]
    assert kept.folder == "Quarantine"
    entries = [one for one in ok(cli("audit", "list", "--json")) if one["action"] == "message.release"]
    assert [one["why"] for one in entries if mail in json.dumps(one)] == ["enabled", "too early"]


def test_a_disabled_tenants_mail_is_released_once_it_is_enabled(stack: Stack, cli: Callable[..., Done]) -> None:
    tenant = tenant_of(stack, "Paused AG")
    assert cli("tenants", "disable", tenant.id, *WHY).code == 0
    mail = send(stack, tenant.address, subject="Zu früh")
    stack.wait_for_end(mail, "Quarantine")
    shown = ok(cli("messages", "show", mail, "--json"))
    assert shown["reason"] == "tenant_inactive"
    (passed_over,) = shown["passed_over"]
    assert (str(passed_over["tenant_id"]), passed_over["tenant"]) == (tenant.id, "Paused AG")
    assert passed_over["why"] == "the tenant was switched off"
    assert "brought no copy" in cli("messages", "show", mail).out
    stack.admin.mark_read(mail)  # as after a look at it in Outlook

    assert cli("tenants", "enable", tenant.id, *WHY).code == 0
    assert cli("quarantine", "release", mail, *WHY).code == 0
    stack.wait_for_end(mail, "deleted")
    assert copies(stack, mail) == [(tenant.id, None)]
    assert ok(cli("messages", "show", mail, "--json"))["passed_over"] == []
    assert "moved elsewhere" in (again := cli("quarantine", "release", mail, *WHY)).err or "deleted" in again.err


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("route", ["first", "all"])
def test_a_sweep_ingests_here_and_now_for_the_first_or_for_all(
    stack: Stack, cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    monkeypatch.setenv("INGEST_ROUTE", route)
    first, second = tenant_of(stack, "First KG"), tenant_of(stack, "Second KG")
    stack.admin.set_notification_faults(drop_probability=1.0)
    mail = send(stack, second.address, first.address, subject=f"An beide: {route}")

    done = cli("sweep", "--json")

    counts = ok(done)
    assert (counts["failed"], counts["put_off"]) == (0, 0)
    assert counts["stored"] >= 1
    assert "Ingesting" in done.err  # progress
    expected = [(second.id, None), (first.id, None)]
    assert copies(stack, mail) == (expected if route == "all" else expected[:1])
    stack.wait_for_end(mail, "deleted")


@pytest.mark.usefixtures("clean")
def test_a_sweep_says_what_it_had_to_put_off(stack: Stack, cli: Callable[..., Done]) -> None:
    tenant = tenant_of(stack, "First KG")
    stack.admin.set_notification_faults(drop_probability=1.0)
    mail = send(stack, tenant.address, subject="Geht gerade nicht")
    stack.admin.add_fault(403, path=mail)

    done = cli("sweep")

    assert done.code == 1
    assert "put off: GraphForbidden" in done.err
    stack.admin.clear_faults()
    assert cli("sweep").code == 0
    stack.wait_for_end(mail, "deleted")


def test_subscriptions_are_listed_renewed_and_deleted(stack: Stack, cli: Callable[..., Done]) -> None:
    (one,) = ok(cli("subscriptions", "list", "--json"))
    assert one["next"] == "kept"
    assert f"renewed {one['id']}" in cli("subscriptions", "renew").out
    assert cli("subscriptions", "delete", *WHY).code == 1
    unknown = cli("subscriptions", "delete", "nope", *WHY)
    assert (unknown.code, "There is no subscription nope" in unknown.err) == (1, True)
    assert [sub.id for sub in stack.admin.subscriptions()] == [one["id"]]
    assert cli("subscriptions", "delete", one["id"], *WHY).code == 0
    assert "There are no subscriptions" in cli("subscriptions", "list").out
    assert "created" in cli("subscriptions", "renew").out
    (new,) = ok(cli("subscriptions", "list", "--json"))
    assert new["id"] != one["id"]
    assert [sub.id for sub in stack.admin.subscriptions()] == [new["id"]]


def test_messages_are_listed_by_state(cli: Callable[..., Done], stack: Stack) -> None:
    mail = send(stack, "nobody@dms.cloud", subject="Ohne Adresse")
    stack.wait_for_end(mail, "Quarantine")
    found = ok(cli("messages", "list", "--state", "quarantined", "--limit", "1000", "--json"))
    assert mail in {one["message_id"] for one in found}
    assert {one["state"] for one in found} == {"quarantined"}
    limited = cli("messages", "list", "--limit", "1")
    assert "Only the first 1 are shown" in limited.err
    assert cli("messages", "show", "no-such-message").code == 1


def test_the_running_app_signs_in_as_the_apps_role(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.owner_url) as owner:
        logins = owner.execute(
            "select distinct usename from pg_stat_activity"
            " where application_name in ('mail-ingest', 'mail-ingest gate') and datname = current_database()"
        ).fetchall()
    assert logins == [("ingest_app_login",)]


# doctor


def findings(done: Done) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(done.out)}


@pytest.mark.usefixtures("clean")
def test_a_doctor_finds_a_healthy_system_healthy(stack: Stack, cli: Callable[..., Done]) -> None:
    stack.admin.add_fault(403, path="ceo@dms.cloud")  # what Exchange says for a mailbox out of scope

    done = cli("doctor", "--other-mailbox", "ceo@dms.cloud", "--json")

    found = findings(done)
    assert {one["status"] for name, one in found.items() if name != "read mails"} == {"ok"}, found
    assert done.code == 0
    assert list(found) == [
        "settings",
        "database",
        "token",
        "mailbox access",
        "other mailboxes",
        "quarantine folder",
        "junk email",
        "deleted items",
        "subscription",
        "notification URL",
        "queue",
        "container",
        "database version",
        "database role",
        "failing mails",
        "removed mailboxes",
        "malware scan",
        "read mails",
    ]


def test_without_settings_there_is_nothing_else_to_look_at(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_INGEST_MAILBOX")
    done = cli("doctor", "--json")
    found = findings(done)
    assert done.code == 1
    assert found["settings"]["status"] == "failed"
    assert "AZURE_INGEST_MAILBOX is missing" in found["settings"]["said"]
    assert {one["status"] for name, one in found.items() if name != "settings"} == {"skipped"}


def test_a_wrong_secret_leaves_the_rest_to_be_checked(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_INGEST_CLIENT_SECRET", "wrong")
    found = findings(cli("doctor", "--json"))
    assert found["token"]["status"] == "failed"
    assert "AADSTS7000215" in found["token"]["said"]
    assert found["mailbox access"]["status"] == "skipped"
    assert found["database version"]["status"] == found["notification URL"]["status"] == "ok"


def test_a_container_that_is_not_there_is_not_made(cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_CONTAINER", "documnets")
    for _ in range(2):
        assert findings(cli("doctor", "--json"))["container"]["status"] == "failed"


@pytest.mark.parametrize("typo", ["ceo@nowhere.example", "no-address", "a&b=c@x"])
def test_a_typo_in_the_other_mailbox_is_a_warning(cli: Callable[..., Done], typo: str) -> None:
    found = findings(cli("doctor", "--other-mailbox", typo, "--json"))["other mailboxes"]
    assert (found["status"], typo in found["said"]) == ("warning", True), found


def test_a_role_that_is_too_powerful_and_a_mailbox_out_of_reach(
    stack: Stack, cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_DATABASE_URL", stack.postgres.owner_url)
    monkeypatch.setenv("AZURE_INGEST_MAILBOX", "nobody@dms.cloud")
    done = cli("doctor", "--other-mailbox", stack.identity.mailboxes[0], "--json")
    found = findings(done)
    assert found["database role"]["status"] == "failed"
    for power in ("passes by row-level security", "may create roles", "can read dms_tenant", "owns "):
        assert power in found["database role"]["said"]
    assert found["mailbox access"]["status"] == "failed"
    assert found["other mailboxes"]["said"] == f"the app can read {stack.identity.mailboxes[0]}"
    assert found["quarantine folder"]["status"] == "skipped"


def test_old_accounts_may_wait_for_the_switch_and_other_migrations_may_not(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    with server.database() as database:
        monkeypatch.setenv("INGEST_DATABASE_URL", database.owner_url)
        monkeypatch.setenv("INGEST_OWNER_DATABASE_URL", database.owner_url)
        assert "not migrated" in findings(cli("doctor", "--json"))["database version"]["said"]
        database.run("create table dms_emailconfig (id bigint primary key)")
        for arguments, status in (
            (("--to", "0006_fill_token_history"), "failed"),
            (("--keep-mail-accounts",), "warning"),
            ((), "ok"),
        ):
            assert cli("migrate", *arguments).code == 0
            assert findings(cli("doctor", "--json"))["database version"]["status"] == status
        assert "up to date" in cli("migrate", "--to", "0001_tenant_token").out
        assert "took back 0007_documents" in cli("migrate", "--back-to", "0006_fill_token_history", *WHY, "--yes").out


@pytest.mark.usefixtures("clean")
def test_read_mails_in_the_inbox_are_a_warning_with_a_way_out(
    stack: Stack, cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = tenant_of(stack, "First KG")
    stack.admin.set_notification_faults(drop_probability=1.0)
    mail = send(stack, tenant.address, subject="Von Hand geöffnet")
    stack.admin.mark_read(mail)

    found = findings(cli("doctor", "--json"))["read mails"]
    assert found["status"] == "warning"
    assert "INGEST_SWEEP_SCOPE=all" in found["advice"]
    monkeypatch.setenv("INGEST_SWEEP_SCOPE", "all")
    assert cli("sweep").code == 0
    assert copies(stack, mail) == [(tenant.id, None)]


def test_the_doctor_also_speaks_to_people(cli: Callable[..., Done]) -> None:
    printed = cli("doctor").out
    assert "ok      settings: complete" in printed
    assert "warning other mailboxes: not tried" in printed


# Retention


def test_retention_counts_what_is_due_and_deletes_nothing_in_a_dry_run(
    stack: Stack, cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = stack.add_tenant("Wird aufbewahrt")
    mail = send(stack, tenant.address, subject="kept")
    stack.wait_for_end(mail, "deleted")
    refused = cli("retention", "--why", "yearly run")
    assert (refused.code, "kept for ever" in refused.err) == (1, True)
    monkeypatch.setenv("INGEST_RETAIN_MAILS", "3650")
    monkeypatch.setenv("INGEST_RETAIN_QUARANTINE", "30")
    rows = ok(cli("retention", "--dry-run", "--why", "a look", "--json"))
    assert {row["rule"]: (row["due"], row["gone"], row["protected"]) for row in rows} == {
        "mails": (0, 0, 0),
        "quarantine": (0, 0, 0),
        "rejections": (0, 0, 0),
    }
    assert [whose for whose, _ in copies(stack, mail)] == [tenant.id]
    ok_or_fail = cli("tenants", "disable", tenant.id, "--why", "contract ended")
    assert ok_or_fail.code == 0, ok_or_fail.err
    forgotten = cli("tenants", "forget", tenant.id, "--why", "contract ended", "--yes")
    assert (forgotten.code, "kept until" in forgotten.err) == (1, True)


# Quarantine and content, as the page does


def test_a_mail_is_deleted_from_quarantine_and_brought_back(stack: Stack, cli: Callable[..., Done]) -> None:
    mail = send(stack, "nobody@dms.cloud", subject="advertising")
    stack.wait_for_end(mail, "Quarantine")
    done = cli("quarantine", "delete", mail, "no-such-mail", "--why", "advertising")
    assert (done.code, "deleted: 1" in done.out, "1 of 2 mail(s)" in done.err) == (1, True, True)
    stack.wait_for_end(mail, "deleted")
    assert cli("quarantine", "bring-back", mail, "--why", "a mistake").code == 0
    stack.wait_for_end(mail, "Quarantine")
    found = cli("messages", "find", "advertising", "no", "token", "--csv")
    assert found.out.splitlines()[0].startswith("number,mailbox,state,reason")
    assert "quarantined,no_token" in found.out


def test_an_original_is_downloaded_and_the_look_is_on_record(
    stack: Stack, cli: Callable[..., Done], tmp_path: Path
) -> None:
    mail = send(stack, stack.add_tenant("Lädt herunter").address, subject="looked at")
    stack.wait_for_end(mail, "deleted")
    target = tmp_path / "mail.eml"
    done = cli("messages", "download", mail, "--to", str(target), "--why", "the tenant asks")
    assert done.code == 0, done.err
    assert b"Subject: looked at" in target.read_bytes()
    assert cli("messages", "download", mail, "--part", "1", "--to", str(tmp_path / "x.pdf"), "--why", "y").code == 0
    assert (tmp_path / "x.pdf").read_bytes() == PDF
    newest = ok(cli("audit", "list", "--json"))[:2]
    assert [entry["action"] for entry in newest] == ["content.read"] * 2
    assert newest[1]["why"] == "the tenant asks"
    assert newest[1]["from"] == origin()
