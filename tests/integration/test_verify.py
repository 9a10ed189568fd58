"""`messages verify --all` finds each of 20 damaged blobs, and nothing else."""

from __future__ import annotations

import json
import os
import smtplib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.stack import CONTAINER, Stack
from tests.mails.mime import file, mail, multipart, text

pytestmark = pytest.mark.shares("stack")

ROOT = Path(__file__).parents[2]
MAILS = 10
DAMAGES = ("flip a bit", "cut off", "append", "empty", "delete")


@pytest.fixture(scope="module")
def recorded(stack: Stack) -> list[str]:
    """The blobs of some mails that this test sent: each an original and three documents."""
    tenant = stack.add_tenant("Prüfstelle")
    assert stack.simulator is not None
    with smtplib.SMTP(stack.simulator.smtp_host, stack.simulator.smtp_port, timeout=60) as connection:
        for number in range(MAILS):
            files = [file(f"{n}.txt", "text/plain", f"Mail {number}, Anlage {n}\n".encode()) for n in range(3)]
            raw = mail(f"Beleg {number}", multipart("mixed", text("Anbei.\n"), *files), to=tenant.address)
            connection.sendmail("rechnung@nordlicht.example", [tenant.address], raw)
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:

        def blobs() -> list[str]:
            rows = database.execute(
                "select blob_name from ingest.message where tenant_id = %(tenant)s union "
                "select blob_name from ingest.part where tenant_id = %(tenant)s",
                {"tenant": tenant.id},
            )
            return sorted(name for (name,) in rows)

        stack.admin.wait_for(lambda: len(blobs()) == 4 * MAILS, timeout=60, what="the mails to be stored")
        return blobs()


def verify(stack: Stack) -> tuple[int, dict[str, str], str]:
    environment = os.environ | app_environment(stack)
    command = [sys.executable, "-m", "ingest", "messages", "verify", "--all", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    damaged = {row["name"]: row["damage"] for row in json.loads(done.stdout or "[]")}
    return done.returncode, damaged, done.stderr


def app_environment(stack: Stack) -> Mapping[str, str]:
    return {
        "AZURE_INGEST_CLIENT_ID": stack.identity.client_id,
        "AZURE_INGEST_CLIENT_SECRET": stack.identity.client_secret,
        "AZURE_INGEST_TENANT_ID": stack.identity.tenant_id,
        "AZURE_INGEST_MAILBOX": ",".join(stack.identity.mailboxes),
        "INGEST_NOTIFICATION_URL": stack.url,
        "INGEST_CLIENT_STATE": "not-used-here-at-all",
        "INGEST_DATABASE_URL": stack.postgres.app_url,
        "INGEST_OWNER_DATABASE_URL": stack.postgres.owner_url,
        "INGEST_STORAGE": stack.azurite.connection_string,
        "INGEST_CONTAINER": CONTAINER,
    }


def damage(container: ContainerClient, name: str, how: str) -> None:
    blob = container.get_blob_client(name)
    properties = blob.get_blob_properties()
    content = bytearray(blob.download_blob().readall())
    match how:
        case "flip a bit":
            content[len(content) // 2] ^= 1
        case "cut off":
            del content[-1:]
        case "append":
            content += b" "
        case "empty":
            content.clear()
        case _:
            blob.delete_blob()
            return
    # With the metadata as it was: the record is what counts, not what the blob says of itself.
    blob.upload_blob(bytes(content), overwrite=True, metadata=properties.metadata)


def test_damaged_blobs_are_found_and_nothing_else(stack: Stack, recorded: list[str]) -> None:
    code, before, said = verify(stack)
    assert (code, before) == (0, {}), said
    chosen = recorded[::2]
    assert len(chosen) == 20
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        contents = {name: container.download_blob(name).readall() for name in chosen}
        for number, name in enumerate(chosen):
            damage(container, name, DAMAGES[number % len(DAMAGES)])
        code, found, said = verify(stack)
        for name, content in contents.items():
            container.upload_blob(name, content, overwrite=True)
    assert sorted(found) == chosen
    expected = ("wrong_content", "wrong_length", "wrong_length", "wrong_length", "missing")
    assert [found[name] for name in chosen] == [expected[number % len(expected)] for number in range(20)]
    assert code == 1
    assert "20 of" in said


def ingest(stack: Stack, *arguments: str) -> tuple[int, list[dict[str, object]], str]:
    """A command of `messages` with its rows."""
    command = [sys.executable, "-m", "ingest", "messages", *arguments, "--json"]
    environment = os.environ | app_environment(stack)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    return done.returncode, json.loads(done.stdout or "[]"), done.stderr


def test_each_part_is_proved_to_be_in_its_original(stack: Stack, recorded: list[str]) -> None:
    code, unproved, said = ingest(stack, "verify", "--all", "--derive")
    assert (code, unproved) == (0, []), said
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        change = "update ingest.part set sha256 = %s where blob_name = %s"
        name = next(name for name in recorded if not name.endswith(".eml"))
        (before,) = database.execute("select sha256 from ingest.part where blob_name = %s", [name]).fetchone() or ("",)
        database.execute(change, ["0" * 64, name])
        code, unproved, said = ingest(stack, "verify", "--all", "--derive")
        database.execute(change, [before, name])
    assert (code, [row["name"] for row in unproved]) == (1, [name]), said


def test_blobs_without_a_record_are_listed(stack: Stack, recorded: list[str]) -> None:
    stray = f"{recorded[0]}.stray"
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        container.upload_blob(stray, b"of a try that did not commit")
        code, listed, said = ingest(stack, "verify", "--unrecorded", "--delete-after", "1", "--why", "tidy up")
        container.delete_blob(stray)
    assert (code, [(row["name"], row["deleted"]) for row in listed]) == (0, [(stray, False)]), said


def test_a_rebuild_adds_what_the_rules_find_and_keeps_the_rest(stack: Stack, recorded: list[str]) -> None:
    assert recorded
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        ids = "select id, sha256 from ingest.document order by id"
        before = database.execute(ids).fetchall()
        lost = before[0]
        ((number, name),) = database.execute(
            "select claim_id, name from ingest.document join ingest.message on message.id = message_id"
            " where document.id = %s",
            [lost[0]],
        ).fetchall()
        database.execute("delete from ingest.document where id = %s", [lost[0]])  # as if older rules had missed it
        database.execute("update ingest.message set search = '' where claim_id = %s", [number])
        code, differences, said = ingest(stack, "rebuild", "--all", "--dry-run")
        assert (code, [(row["difference"], row["sha256"]) for row in differences]) == (0, [("new", lost[1])]), said
        assert len(database.execute(ids).fetchall()) == len(before) - 1
        code, _, said = ingest(stack, "rebuild", "--all")
        assert (code, "needs a reason" in said) == (1, True)
        code, differences, said = ingest(stack, "rebuild", "--all", "--why", "new rules")
        after = database.execute(ids).fetchall()
        entries = database.execute("select action, subject, why from ingest.audit order by number desc limit 1")
        assert entries.fetchall() == [("message.rebuild", f"message {number}", "new rules")]
    assert (code, len(differences)) == (0, 1), said
    assert sorted(sha256 for _, sha256 in after) == sorted(sha256 for _, sha256 in before)
    assert {row for row in before if row != lost} < set(after)
    assert ingest(stack, "rebuild", "--all", "--dry-run")[:2] == (0, [])
    assert number in {row["number"] for row in ingest(stack, "find", name)[1]}  # by the words of what was found


def test_a_role_that_sees_nothing_proves_nothing(stack: Stack) -> None:
    environment = os.environ | app_environment(stack) | {"INGEST_OWNER_DATABASE_URL": ""}
    command = [sys.executable, "-m", "ingest", "messages", "verify", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 1
    assert "ingest_operator" in done.stderr
