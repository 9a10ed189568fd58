"""The lengths of the app's queues, for people and alerts. The triggers themselves are Functions' part.

https://learn.microsoft.com/rest/api/storageservices/get-queue-metadata
"""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from ingest.errors import QueueUnavailable
from ingest.queues import BACKLOG, EVENTS, MESSAGES, SCAN_RESULTS
from ingest.settings import QueueAccount
from ingest.storage import entra

NAMES = tuple(name for queue in (MESSAGES, BACKLOG, EVENTS, SCAN_RESULTS) for name in (queue, f"{queue}-poison"))
_SECONDS = 10


def queue_lengths(account: QueueAccount) -> dict[str, int]:
    """Return the approximate number of messages of each queue. A queue that no message has made yet is missing.

    Raises QueueUnavailable.
    """
    limits: dict[str, Any] = {"connection_timeout": _SECONDS, "read_timeout": _SECONDS}
    limits |= {"retry_total": 1, "initial_backoff": 1}  # seconds; the library's 15 are long for a person who waits
    lengths: dict[str, int] = {}
    try:
        if account.connection is not None:
            service = QueueServiceClient.from_connection_string(account.connection, **limits)
        else:
            service = QueueServiceClient(account.url or "", credential=entra.credential(), **limits)
        with service:
            for name in NAMES:
                try:
                    properties = service.get_queue_client(name).get_queue_properties()
                except ResourceNotFoundError:
                    continue
                lengths[name] = properties.approximate_message_count or 0
    except (AzureError, ValueError) as error:
        code = getattr(error, "error_code", None)
        raise QueueUnavailable(f"the queue service can't be asked: {code or type(error).__name__}") from None
    return lengths
