"""`messages verify --all` finds each of 20 damaged blobs, and nothing else."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.stack import CONTAINER, Stack
from tests.fakes.command_line import Done
from tests.mails.mime import file, mail, multipart, text

MAILS = 10
DAMAGES = ("flip a bit", "cut off", "append", "empty", "delete")


@pytest.fixture(scope="module")
def stack(own_stack: Stack) -> Stack:
    """Most commands here read every blob that there is."""
    return own_stack


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
    stack.wait_for_empty_inbox()
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        rows = database.execute(
            "select blob_name from ingest.message where tenant_id = %(tenant)s union "
            "select blob_name from ingest.part where tenant_id = %(tenant)s",
            {"tenant": tenant.id},
        ).fetchall()
    assert len(rows) == 4 * MAILS
    return sorted(name for (name,) in rows)


def rows(done: Done) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(done.out or "[]")
    return found


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


def number_of(stack: Stack, blob_name: str) -> str:
    """The number of the mail that a blob belongs to."""
    with psycopg.connect(stack.postgres.owner_url) as database:
        row = database.execute(
            "select claim_id from ingest.message join ingest.part on part.message_id = message.id"
            " where part.blob_name = %s",
            [blob_name],
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_damaged_blobs_are_found_and_nothing_else(stack: Stack, recorded: list[str], cli: Callable[..., Done]) -> None:
    chosen = recorded[::2]
    assert len(chosen) == 20
    number = number_of(stack, next(name for name in chosen if not name.endswith(".eml")))
    whole = cli("messages", "verify", number, "--json")
    assert (whole.code, rows(whole)) == (0, []), whole.err
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        contents = {name: container.download_blob(name).readall() for name in chosen}
        for place, name in enumerate(chosen):
            damage(container, name, DAMAGES[place % len(DAMAGES)])
        done = cli("messages", "verify", "--all", "--json")
        for name, content in contents.items():
            container.upload_blob(name, content, overwrite=True)
    found = {str(row["name"]): row["damage"] for row in rows(done)}
    assert sorted(found) == chosen
    expected = ("wrong_content", "wrong_length", "wrong_length", "wrong_length", "missing")
    assert [found[name] for name in chosen] == [expected[place % len(expected)] for place in range(20)]
    assert done.code == 1
    assert "20 of" in done.err


def test_lost_blobs_are_stored_again_from_the_mail(stack: Stack, recorded: list[str], cli: Callable[..., Done]) -> None:
    original = next(name for name in recorded if name.endswith(".eml"))
    part = next(name for name in reversed(recorded) if not name.endswith(".eml"))
    lost = [original, part]
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        before = {name: container.download_blob(name).readall() for name in lost}
        for name in lost:
            container.delete_blob(name)
        stack.admin.add_fault(404, path=r"/\$value")
        refused = cli("messages", "restore", "--all", "--why", "loss", "--json")
        stack.admin.clear_faults()
        done = cli("messages", "restore", "--all", "--why", "loss", "--json")
        after = {name: container.download_blob(name).readall() for name in lost}
    # One lost its original and is read from the mailbox; the other lost a part, which its stored original holds.
    assert (refused.code, sorted(str(row["problem"]) for row in rows(refused))) == (
        1,
        ["None", "the mail is not in the mailbox any more"],
    )
    assert (done.code, [(row["stored"], row["missing"], row["original"]) for row in rows(done)]) == (
        0,
        [(1, 0, "as it was")],
    )
    assert after == before
    with psycopg.connect(stack.postgres.owner_url) as database:
        entries = database.execute("select action, why from ingest.audit order by number desc limit 2").fetchall()
    assert entries == [("message.restore", "loss")] * 2
    assert cli("messages", "restore", "--all", "--why", "loss").out.strip() == "No blob is missing."


def test_each_part_is_proved_to_be_in_its_original(stack: Stack, recorded: list[str], cli: Callable[..., Done]) -> None:
    done = cli("messages", "verify", "--all", "--derive", "--json")
    assert (done.code, rows(done)) == (0, []), done.err
    name = next(name for name in recorded if not name.endswith(".eml"))
    number = number_of(stack, name)
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        change = "update ingest.part set sha256 = %s where blob_name = %s"
        (before,) = database.execute("select sha256 from ingest.part where blob_name = %s", [name]).fetchone() or ("",)
        database.execute(change, ["0" * 64, name])
        done = cli("messages", "verify", number, "--derive", "--json")
        database.execute(change, [before, name])
    assert (done.code, [row["name"] for row in rows(done)]) == (1, [name]), done.err


def test_blobs_without_a_record_are_listed(stack: Stack, recorded: list[str], cli: Callable[..., Done]) -> None:
    stray = f"{recorded[0]}.stray"
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        container.upload_blob(stray, b"of an attempt that did not commit")
        done = cli("messages", "verify", "--unrecorded", "--delete-after", "1", "--why", "tidy up", "--json")
        container.delete_blob(stray)
    assert (done.code, [(row["name"], row["deleted"]) for row in rows(done)]) == (0, [(stray, False)]), done.err


def test_no_blob_is_deleted_in_a_container_that_no_record_names(
    stack: Stack, recorded: list[str], cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another installation's account or database, each of its blobs is without a record."""
    monkeypatch.setenv("INGEST_CONTAINER", "elsewhere")
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.create_container("elsewhere")
        container.upload_blob(recorded[0], b"of another installation")
        done = cli("messages", "verify", "--unrecorded", "--delete-after", "1", "--why", "tidy up")
        container.delete_container()
    assert done.code == 1
    assert "Nothing was deleted: no mail on record names the container elsewhere. Check INGEST_STORAGE" in done.err


def test_a_rebuild_adds_what_the_rules_find_and_keeps_the_rest(
    stack: Stack, recorded: list[str], cli: Callable[..., Done]
) -> None:
    number = number_of(stack, next(name for name in recorded if not name.endswith(".eml")))
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        ids = "select id, sha256 from ingest.document order by id"
        before = database.execute(ids).fetchall()
        lost = database.execute(
            "select document.id, document.sha256, name from ingest.document join ingest.message"
            " on message.id = document.message_id where claim_id = %s order by document.id",
            [number],
        ).fetchone()
        assert lost is not None
        document, sha256, name = lost
        database.execute("delete from ingest.document where id = %s", [document])  # as if older rules had missed it
        database.execute("update ingest.message set search = '' where claim_id = %s", [number])
        dry = cli("messages", "rebuild", number, "--dry-run", "--json")
        assert (dry.code, [(row["difference"], row["sha256"]) for row in rows(dry)]) == (0, [("new", sha256)]), dry.err
        assert len(database.execute(ids).fetchall()) == len(before) - 1
        refused = cli("messages", "rebuild", "--all", "--json")
        assert (refused.code, "needs a reason" in refused.err) == (1, True)
        done = cli("messages", "rebuild", "--all", "--why", "new rules", "--json")
        after = database.execute(ids).fetchall()
        entries = database.execute("select action, subject, why from ingest.audit order by number desc limit 1")
        assert entries.fetchall() == [("message.rebuild", f"message {number}", "new rules")]
    # One difference of all mails: the others' are what the rules find.
    assert (done.code, len(rows(done))) == (0, 1), done.err
    assert sorted(one for _, one in after) == sorted(one for _, one in before)
    assert {row for row in before if row != (document, sha256)} < set(after)
    again = cli("messages", "rebuild", number, "--dry-run", "--json")
    assert (again.code, rows(again)) == (0, [])
    found = rows(cli("messages", "find", name, "--json"))
    assert number in {str(row["number"]) for row in found}  # by the words of what was found


def test_a_role_that_sees_nothing_proves_nothing(cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGEST_OWNER_DATABASE_URL")
    done = cli("messages", "verify", "--all")
    assert done.code == 1
    assert "ingest_operator" in done.err
