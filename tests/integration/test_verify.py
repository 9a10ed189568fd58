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


def test_a_role_that_sees_nothing_proves_nothing(stack: Stack) -> None:
    environment = os.environ | app_environment(stack) | {"INGEST_OWNER_DATABASE_URL": ""}
    command = [sys.executable, "-m", "ingest", "messages", "verify", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 1
    assert "ingest_operator" in done.stderr
