"""Results of Defender for Storage, as Event Grid delivers them to the queue of a running stack."""

from __future__ import annotations

import json
from contextlib import suppress

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from ingest.queues import SCAN_RESULTS
from local.stack import CONTAINER, Stack
from tests.fakes.payloads import payload


def result_of_defender(stack: Stack, blob_name: str, case: str) -> None:
    """Put the result of a blob's scan onto the queue. `case`: a file of tests/payloads/scan_results."""
    event = json.loads(payload(f"scan_results/{case}"))
    event["data"]["blobUri"] = f"{stack.azurite.blob.endpoint}/{CONTAINER}/{blob_name}"
    with QueueClient.from_connection_string(
        stack.azurite.connection_string, SCAN_RESULTS, message_encode_policy=TextBase64EncodePolicy()
    ) as queue:
        with suppress(ResourceExistsError):  # the host makes it with the first message
            queue.create_queue()
        queue.send_message(json.dumps(event))
