"""The loop that a team would write with the O365 library: `python -m bench.rival --stack stack.json`.

The loop is fair: one connection each to Graph, Blob and Postgres, kept alive, and for each mail only the requests that
the library needs. Left out is what such loops leave out: retries across restarts, parallel work, tenant isolation,
streaming.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msal
import psycopg
from azure.storage.blob import ContainerClient
from O365 import Account, Connection, MSGraphProtocol  # type: ignore[import-untyped]  # the library has no types
from O365.utils.token import MemoryTokenBackend  # type: ignore[import-untyped]  # as above

from bench.processes import forget_peak, peak_bytes, resident_bytes

_TOKEN = re.compile(r"^upload[.+](?P<token>[0-9a-f]{32})@", re.IGNORECASE)
SCHEMA = """
create schema if not exists rival;
create table if not exists rival.message (
    id bigint generated always as identity primary key,
    tenant_id text not null,
    internet_message_id text not null,
    subject text not null,
    sender text not null,
    received_at timestamptz not null,
    blob_name text not null,
    sha256 text not null
);
create table if not exists rival.document (
    id bigint generated always as identity primary key,
    message_id bigint not null references rival.message (id),
    name text not null,
    size bigint not null,
    blob_name text not null,
    sha256 text not null
);
"""


class Rival:
    """Drains one inbox, mail by mail."""

    def __init__(self, stack: dict[str, Any], *, delay_milliseconds: int) -> None:
        self._mailbox = sign_in(stack, delay_milliseconds).mailbox()
        self._blobs = ContainerClient.from_connection_string(stack["storage_connection_string"], container_name="rival")
        if not self._blobs.exists():
            self._blobs.create_container()
        self._database = psycopg.connect(stack["owner_database_url"])
        self._database.execute(SCHEMA)
        self._database.commit()
        self._quarantine: Any = None

    def drain(self) -> int:
        """Process all unread mails of the inbox and return their number."""
        done = 0
        for message in list(self._mailbox.inbox_folder().get_messages(limit=None, query="isRead eq false")):
            tenant = self._tenant(message)
            if tenant is None:
                message.move(self._quarantine_folder())
            else:
                self._store(message, tenant)
                message.delete()
            done += 1
        return done

    def _tenant(self, message: Any) -> str | None:  # noqa: ANN401 - the library has no types
        for recipient in [*message.to, *message.cc]:
            if found := _TOKEN.match(recipient.address):
                row = self._database.execute(
                    "select id::text from dms_tenant where ingest_token = %s and is_active", [found["token"].lower()]
                ).fetchone()
                if row is not None:
                    return str(row[0])
        return None

    def _store(self, message: Any, tenant: str) -> None:  # noqa: ANN401 - the library has no types
        folder = f"{tenant}/{message.object_id}"
        original = message.get_mime_content()
        self._blobs.upload_blob(f"{folder}/original.eml", original, overwrite=True)
        row = self._database.execute(
            "insert into rival.message"
            " (tenant_id, internet_message_id, subject, sender, received_at, blob_name, sha256)"
            " values (%s, %s, %s, %s, %s, %s, %s) returning id",
            [
                tenant,
                message.internet_message_id,
                message.subject,
                message.sender.address,
                message.received,
                f"{folder}/original.eml",
                hashlib.sha256(original).hexdigest(),
            ],
        ).fetchone()
        assert row is not None  # noqa: S101 - `returning` always gives one
        if message.has_attachments:
            message.attachments.download_attachments()
            for number, attachment in enumerate(message.attachments, start=1):
                content = _content(attachment)
                name = f"{folder}/{number:03}"
                self._blobs.upload_blob(name, content, overwrite=True)
                self._database.execute(
                    "insert into rival.document (message_id, name, size, blob_name, sha256)"
                    " values (%s, %s, %s, %s, %s)",
                    [row[0], attachment.name, len(content), name, hashlib.sha256(content).hexdigest()],
                )
        self._database.commit()

    def _quarantine_folder(self) -> Any:  # noqa: ANN401 - the library has no types
        if self._quarantine is None:
            self._quarantine = self._mailbox.get_folder(folder_name="Quarantine") or self._mailbox.create_child_folder(
                "Quarantine"
            )
        return self._quarantine


def _content(attachment: Any) -> bytes:  # noqa: ANN401 - the library has no types
    return base64.b64decode(attachment.content)  # the library keeps it as Graph sends it


def sign_in(stack: Mapping[str, Any], delay_milliseconds: int) -> Any:  # noqa: ANN401 - the library has no types
    """Sign in by client credentials, at the addresses of `stack` instead of Microsoft's; return the library's account.

    `stack`: `graph_base_url`, `authority_host`, `client_id`, `client_secret`, `tenant_id` and `mailboxes`.
    """

    class LocalProtocol(MSGraphProtocol):  # type: ignore[misc]  # the library has no types
        _protocol_url = str(stack["graph_base_url"]).removesuffix("v1.0")

    class LocalConnection(Connection):  # type: ignore[misc]  # the library has no types
        @property
        def msal_client(self) -> msal.ConfidentialClientApplication:
            return client

    class LocalAccount(Account):  # type: ignore[misc]  # the library has no types
        connection_constructor = LocalConnection

    tokens = MemoryTokenBackend()
    client = msal.ConfidentialClientApplication(
        stack["client_id"],
        client_credential=stack["client_secret"],
        authority=f"{stack['authority_host']}/{stack['tenant_id']}",
        instance_discovery=False,
        token_cache=tokens,
    )
    account = LocalAccount(
        (stack["client_id"], stack["client_secret"]),
        protocol=LocalProtocol,
        auth_flow_type="credentials",
        tenant_id=stack["tenant_id"],
        token_backend=tokens,
        main_resource=f"users/{stack['mailboxes'][0]}",
        requests_delay=delay_milliseconds,
        timezone="UTC",
    )
    account.authenticate(requested_scopes=["https://graph.microsoft.com/.default"])
    return account


def main() -> None:
    """Drain once and print mails, seconds, CPU seconds and memory (bytes) as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.rival", description=__doc__)
    parser.add_argument("--stack", type=Path, required=True, help="the stack.json of a running stack")
    parser.add_argument("--delay", type=int, default=200, help="milliseconds between requests; the library's own: 200")
    options = parser.parse_args()
    stack = json.loads(options.stack.read_text())
    os.environ["REQUESTS_CA_BUNDLE"] = stack["ca_file"]
    rival = Rival(stack, delay_milliseconds=options.delay)
    idle = resident_bytes(os.getpid())
    forget_peak(os.getpid())  # ru_maxrss would begin with the peak of the parent process
    cpu, began = time.process_time(), time.perf_counter()
    mails = rival.drain()
    print(
        json.dumps(
            {
                "mails": mails,
                "seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - cpu,
                "peak_bytes_above_idle": peak_bytes(os.getpid()) - idle,
            }
        )
    )


if __name__ == "__main__":
    main()
