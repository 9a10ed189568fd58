"""`make drill`: lose Postgres, the documents, and both; then move to another region. No mail may be lost or doubled.

The steps are those of docs/deploy.md. Each case goes the same way:

    before   Mails come in and are stored. Then a backup: a dump of Postgres, a copy of the blobs.
    after    More mails come in, are stored and deleted. Then a store is lost, and restored as of the backup.
    restore  The mails in Deleted Items go back to the inbox, and the app does the rest. Lost blobs alone are stored
             again by `messages restore`, from the mails where they lie.
    proof    `messages verify --all`, and every mail that was sent, compared with its records and its blobs.

Two facts make that enough: a mail leaves the inbox only after it is stored, and what is on record is not stored twice.
The simulator gives other MIME at each read, as Exchange may.
"""

import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import psycopg
from azure.storage.blob import BlobServiceClient

from local import azurite
from local.processes import ROOT
from local.stack import CONTAINER, Stack, Step
from local.tenants import DEMO_TENANTS, LocalTenant, upload_address
from local.terminal import console, step

CHANGING_MIME = ("--changing-mime",)
MAILS = 8  # between two cases; of four, one has no file and is a document itself, and one is for no tenant
_PATIENCE = 300.0

type _Blobs = Mapping[str, tuple[bytes, Mapping[str, str]]]


class DrillError(RuntimeError):
    """A command of the drill did not end as docs/deploy.md says."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The fate of the mails that were for a tenant, as Message-IDs, after a case."""

    case: str
    sent: frozenset[str]
    lost: frozenset[str]
    doubled: frozenset[str]
    spoiled: frozenset[str]  # recorded, but the blob is missing or has other content

    @property
    def passed(self) -> bool:
        """Return whether every mail is there, once, and as it was sent."""
        return not (self.lost or self.doubled or self.spoiled)


def run_drill(data: Path) -> int:
    """Run every case in the directory `data`, which is emptied first. Exit code 0: no mail is lost or doubled."""
    shutil.rmtree(data, ignore_errors=True)
    with Stack(data, simulator_arguments=CHANGING_MIME, step=step) as stack:
        results = list(Drill(stack, data / "backup", step=step).run())
    for result in results:
        console.print(
            f"{result.case}: {len(result.sent)} mails for tenants: {len(result.lost)} lost, "
            f"{len(result.doubled)} doubled, {len(result.spoiled)} with other content"
        )
    return 0 if all(result.passed for result in results) else 1


class Drill:
    """The cases, one after the other in a running stack with one host. The last one leaves the stack's storage."""

    def __init__(self, stack: Stack, backup: Path, *, mails: int = MAILS, step: Step) -> None:
        """`backup`: a directory for the dump. `mails`: so many come in between two cases, a multiple of 4."""
        self._stack = stack
        self._dump = backup / "dms.dump"
        self._blobs: _Blobs = {}
        self._mails = mails
        self._step = step
        self._tenants: Sequence[LocalTenant] = ()
        self._sent = frozenset[str]()
        self._storage = stack.azurite.connection_string
        backup.mkdir(parents=True)

    def run(self) -> Iterator[Result]:
        """Yield the result of each case."""
        self._tenants = [self._stack.add_tenant(name) for name in DEMO_TENANTS]
        self._deliver("before")
        self._wait_until_stored()
        yield self._case("Postgres lost", self._restore_postgres)
        yield self._case("Documents lost", self._restore_documents, self._store_lost_documents, bring_back=False)
        yield self._case("Both lost", self._restore_postgres, self._restore_documents)
        yield from self._moved("Moved to another region")

    def _case(self, case: str, *steps: Callable[[], None], bring_back: bool = True) -> Result:
        with self._step(f"{case}: backup, then {self._mails} mails"):
            self._stack.postgres.dump(self._dump)
            self._blobs = _read_blobs(self._storage)
            self._deliver(case)
            self._wait_until_stored()
        with self._step(f"{case}: restored as of the backup"):
            for host in self._stack.hosts:
                host.stop()
            for restore in steps:
                restore()
            for host in self._stack.hosts:
                host.start()
        if bring_back:
            with self._step(f"{case}: Deleted Items go back to the inbox"):
                for message in self._stack.admin.messages():
                    if message.folder == "deleted":
                        self._stack.admin.move(message.id, "inbox")
                self._wait_until_stored()
        return self._compared(case)

    def _restore_postgres(self) -> None:
        """Lose the database; take the dump in its place."""
        self._stack.postgres.restore(self._dump)

    def _restore_documents(self) -> None:
        """Lose the container's blobs; take the copy in their place."""
        _replace_blobs(self._storage, self._blobs)

    def _store_lost_documents(self) -> None:
        if self._messages("verify", "--all") == 0:
            raise DrillError("messages verify --all does not find the lost documents")
        if self._messages("restore", "--all", "--why", "the drill") != 0:
            raise DrillError("messages restore --all does not store each lost document")

    def _moved(self, case: str) -> Iterator[Result]:
        with azurite.running(data=self._stack.data / "new-region", log=self._stack.data / "azurite.log") as new:
            with self._step(f"{case}: the old app is stopped, the container is copied"):
                self._stack.stop_hosts()
                self._deliver(case)  # into the inbox, where the mails wait
                _copy_container(self._storage, new.connection_string)
                self._storage = new.connection_string
            with self._step(f"{case}: the new app takes what waits in the inbox"):
                self._stack.add_host(settings=self._settings).start()
                self._stack.maintain()
                self._wait_until_stored()
                self._wait_for_one_subscription()
            yield self._compared(case)
            self._stack.stop_hosts()

    @property
    def _settings(self) -> Mapping[str, str]:
        return {"INGEST_STORAGE": self._storage, "AzureWebJobsStorage": self._storage}

    def _deliver(self, case: str) -> None:
        """Let mails come in; note the Message-IDs of those that are for a tenant."""
        for number in range(self._mails):
            for_no_tenant = number % 4 == 3  # noqa: PLR2004 - see MAILS
            address = upload_address("0" * 32) if for_no_tenant else self._tenants[number % len(self._tenants)].address
            message_id = f"<{case.lower().replace(' ', '-')}-{number}@lieferant.example>"
            mail = _mail(message_id, address, with_file=number % 4 != 2)  # noqa: PLR2004 - likewise
            self._stack.admin.deliver(mail.as_bytes(), [address])
            if not for_no_tenant:
                self._sent |= {str(mail["Message-ID"])}

    def _wait_until_stored(self) -> None:
        """Wait until each mail has ended. The timer goes off now: its next turn may be minutes away."""
        self._stack.maintain()
        self._stack.wait_for_empty_inbox()

    def _wait_for_one_subscription(self) -> None:
        """Wait until Graph notifies the new app alone: its `maintain` takes the old subscription for a wrong one."""
        admin, url = self._stack.admin, self._stack.url

        def is_the_only_one() -> bool | None:
            urls = [one.notification_url for one in admin.subscriptions()]
            return (len(urls) == 1 and urls[0].startswith(url)) or None

        admin.wait_for(is_the_only_one, timeout=_PATIENCE, what="one subscription, with the new app's URL")

    def _messages(self, *arguments: str) -> int:
        """Run `python -m ingest messages …` as an operator does; the exit code."""
        command = [sys.executable, "-m", "ingest", "messages", *arguments]
        environment = {**self._stack.operator_environment(), **self._settings}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)  # noqa: S603 - our own program
        return done.returncode

    def _compared(self, case: str) -> Result:
        with self._step(f"{case}: comparing every mail with what is stored"):
            if self._messages("verify", "--all") != 0:
                raise DrillError("messages verify --all finds blobs that are not what was stored")
            return _compare(case, self._stack.postgres.owner_url, self._storage, self._sent)


def _mail(message_id: str, address: str, *, with_file: bool) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "rechnung@lieferant.example", address, f"Rechnung {message_id}"
    mail["Message-ID"] = message_id
    mail.set_content("Anbei.\n")
    if not with_file:
        mail.add_alternative("<p>Anbei.</p>\n", subtype="html")
        return mail
    content = b"%PDF-1.7\n" + hashlib.sha256(message_id.encode()).digest() * 100
    mail.add_attachment(content, maintype="application", subtype="pdf", filename="Rechnung.pdf")
    return mail


def _read_blobs(storage: str) -> _Blobs:
    with BlobServiceClient.from_connection_string(storage) as service:
        container = service.get_container_client(CONTAINER)
        return {
            blob.name: (container.download_blob(blob.name).readall(), dict(blob.metadata or {}))
            for blob in container.list_blobs(include=["metadata"])
        }


def _replace_blobs(storage: str, blobs: _Blobs) -> None:
    """Delete every blob of the container, and upload these."""
    with BlobServiceClient.from_connection_string(storage) as service:
        container = service.get_container_client(CONTAINER)
        for name in list(container.list_blob_names()):
            container.delete_blob(name)
        for name, (content, metadata) in blobs.items():
            container.upload_blob(name, content, metadata=dict(metadata))


def _copy_container(old: str, new: str) -> None:
    """Copy the container with all blobs and their metadata, as `azcopy copy --recursive` does."""
    with BlobServiceClient.from_connection_string(new) as service:
        service.create_container(CONTAINER)
    _replace_blobs(new, _read_blobs(old))


def _compare(case: str, database: str, storage: str, sent: frozenset[str]) -> Result:
    """Read every record and every blob that a record names."""
    content = {name: hashlib.sha256(blob).hexdigest() for name, (blob, _) in _read_blobs(storage).items()}
    with psycopg.connect(database) as connection:
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
        case=case,
        sent=sent,
        lost=sent - (copies.keys() & with_document),
        doubled=frozenset(name for name, count in copies.items() if count > 1),
        spoiled=frozenset(spoiled),
    )
