"""The check after every round: all mails that were sent are stored byte for byte, by us and by the rival."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
from azure.storage.blob import BlobServiceClient

from bench.mails import Sample
from local.stack import CONTAINER, Stack

_OURS = """
select message.internet_message_id, message.blob_name, document.blob_name
from ingest.message join ingest.document on document.message_id = message.id
where message.internet_message_id = any(%s)
"""
_RIVAL = """
select message.internet_message_id, message.blob_name, document.blob_name
from rival.message join rival.document on document.message_id = message.id
where message.internet_message_id = any(%s)
"""


class VerificationError(RuntimeError):
    """Stored bytes differ from the bytes that were sent."""


def verify_ours(stack: Stack, mails: Sequence[Sample]) -> int:
    """Compare our stored mails with `mails` and return their number. Raises VerificationError."""
    return _verify(stack, _OURS, CONTAINER, mails)


def verify_rival(stack: Stack, mails: Sequence[Sample]) -> int:
    """Compare the rival's stored mails with `mails` and return their number. Raises VerificationError."""
    return _verify(stack, _RIVAL, "rival", mails)


def _verify(stack: Stack, query: str, container: str, mails: Sequence[Sample]) -> int:
    with psycopg.connect(stack.postgres.owner_url) as database:
        rows = database.execute(query.encode(), [[mail.message_id for mail in mails]]).fetchall()
    found = {row[0]: (row[1], row[2]) for row in rows}
    if len(rows) != len(mails) or len(found) != len(mails):
        raise VerificationError(f"{len(mails)} mails were sent, {len(rows)} rows are there for {len(found)} of them")
    with (
        BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service,
        ThreadPoolExecutor(4) as pool,
    ):
        blobs = service.get_container_client(container)

        def check(mail: Sample) -> None:
            for name, expected in zip(
                found[mail.message_id], (mail.original_sha256, *mail.document_sha256s), strict=True
            ):
                if hashlib.sha256(blobs.download_blob(name).readall()).hexdigest() != expected:
                    raise VerificationError(f"{name} in {container} is not what was sent")

        list(pool.map(check, mails))
    return len(mails)
