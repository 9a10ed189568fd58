"""`make drill`: lose Postgres and the documents, restore both as of yesterday, and bring today back from the mailbox.

    yesterday   Mails come in. Then a backup: a dump of Postgres, a copy of the blobs.
    today       More mails come in, are stored and deleted. Then both stores are lost.
    restore     First the backup. Then the mails in Deleted Items go back to the inbox, and the app does the rest.

Two facts make that enough: a mail leaves the inbox only after it is stored, and what is on record is not stored twice.
docs/deploy.md has the same steps for Azure.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import psycopg
from azure.storage.blob import BlobServiceClient

from local.stack import CONTAINER, Stack
from local.tenants import DEMO_TENANTS, LocalTenant, upload_address
from local.terminal import console, step

YESTERDAY, TODAY = 12, 12  # mails of each day; every fourth is for no tenant
_PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """The fate of the mails that were for a tenant, as Message-IDs."""

    sent: frozenset[str]
    lost: frozenset[str]
    doubled: frozenset[str]
    spoiled: frozenset[str]  # recorded, but the blob is missing or has other content

    @property
    def passed(self) -> bool:
        """Return whether every mail is there, once, and as it was sent."""
        return not (self.lost or self.doubled or self.spoiled)


def run_drill(data: Path) -> int:
    """Run the drill in the directory `data`, which is emptied first. Exit code 0: no mail is lost or doubled."""
    shutil.rmtree(data, ignore_errors=True)
    with Stack(data, step=step) as stack:
        result = drill(stack, data / "backup")
    console.print(
        f"{len(result.sent)} mails for tenants: {len(result.lost)} lost, {len(result.doubled)} doubled, "
        f"{len(result.spoiled)} with other content"
    )
    return 0 if result.passed else 1


def drill(stack: Stack, backup: Path) -> Result:
    """Go through the whole story in a running stack; `backup` is a directory for the dump and the blobs."""
    tenants = [stack.add_tenant(name) for name in DEMO_TENANTS]
    with step(f"Yesterday: {YESTERDAY} mails"):
        sent = _deliver(stack, tenants, "yesterday", YESTERDAY)
    with step("Backup of Postgres and of the blobs"):
        backup.mkdir(parents=True)
        stack.postgres.dump(backup / "dms.dump")
        blobs = _read_blobs(stack)
    with step(f"Today: {TODAY} mails"):
        sent |= _deliver(stack, tenants, "today", TODAY)
    for host in stack.hosts:
        host.stop()
    with step("Both are lost, and restored as of yesterday"):
        stack.postgres.restore(backup / "dms.dump")
        _restore_blobs(stack, blobs)
    for host in stack.hosts:
        host.start()
    with step("What Deleted Items has goes back to the inbox"):
        for message in stack.admin.messages():
            if message.folder == "deleted":
                stack.admin.move(message.id, "inbox")
        _wait_until_done(stack)
    with step("Comparing every mail with what is stored"):
        return _compare(stack, sent)


def _deliver(stack: Stack, tenants: Sequence[LocalTenant], day: str, count: int) -> frozenset[str]:
    """Let mails come in and wait for their end; the Message-IDs of those that are for a tenant."""
    ours = set[str]()
    for number in range(count):
        for_nobody = number % 4 == 3  # noqa: PLR2004 - see YESTERDAY
        address = upload_address("0" * 32) if for_nobody else tenants[number % len(tenants)].address
        mail = _mail(f"<{day}-{number}@lieferant.example>", address)
        stack.admin.deliver(mail.as_bytes(), [address])
        if not for_nobody:
            ours.add(str(mail["Message-ID"]))
    _wait_until_done(stack)
    return frozenset(ours)


def _mail(message_id: str, address: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "rechnung@lieferant.example", address, f"Rechnung {message_id}"
    mail["Message-ID"] = message_id
    mail.set_content("Anbei.\n")
    content = b"%PDF-1.7\n" + hashlib.sha256(message_id.encode()).digest() * 100
    mail.add_attachment(content, maintype="application", subtype="pdf", filename="Rechnung.pdf")
    return mail


def _wait_until_done(stack: Stack) -> None:
    def inbox_is_empty() -> bool | None:
        return not any(message.folder == "Inbox" for message in stack.admin.messages()) or None

    stack.admin.wait_for(inbox_is_empty, timeout=_PATIENCE, what="an empty inbox")


def _read_blobs(stack: Stack) -> dict[str, tuple[bytes, Mapping[str, str]]]:
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        return {
            blob.name: (container.download_blob(blob.name).readall(), dict(blob.metadata or {}))
            for blob in container.list_blobs(include=["metadata"])
        }


def _restore_blobs(stack: Stack, blobs: Mapping[str, tuple[bytes, Mapping[str, str]]]) -> None:
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        for name in list(container.list_blob_names()):
            container.delete_blob(name)
        for name, (content, metadata) in blobs.items():
            container.upload_blob(name, content, metadata=dict(metadata))


def _compare(stack: Stack, sent: frozenset[str]) -> Result:
    """Read every record and every blob that a record names."""
    content = {name: hashlib.sha256(blob).hexdigest() for name, (blob, _) in _read_blobs(stack).items()}
    with psycopg.connect(stack.postgres.owner_url) as connection:
        messages = connection.execute(
            "select internet_message_id, blob_name, sha256, id from ingest.message"
        ).fetchall()
        documents = connection.execute("select message_id, blob_name, sha256 from ingest.document").fetchall()
    copies = Counter(str(message[0]) for message in messages)
    names = {row[3]: str(row[0]) for row in messages}
    spoiled = {str(row[0]) for row in messages if content.get(row[1]) != row[2]}
    spoiled |= {names[row[0]] for row in documents if content.get(row[1]) != row[2]}
    with_document = {names[row[0]] for row in documents}
    return Result(
        sent=sent,
        lost=sent - (copies.keys() & with_document),
        doubled=frozenset(name for name, count in copies.items() if count > 1),
        spoiled=frozenset(spoiled),
    )
