"""The locks and the times of timers that instances of one app share in the container `azure-webjobs-hosts`.

Names and formats are the real host's (Microsoft.Azure.WebJobs.Host: blob leases, StorageScheduleMonitor).
"""

import hashlib
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from local.functions_host.rest import Client, StorageDownError, StorageError

_CONTAINER = "/azure-webjobs-hosts"
_NEW_BLOB = {"x-ms-blob-type": "BlockBlob"}
# The shortest lease there is, not the real host's 60 s: a developer waits for the timers
# of a host that was killed.
LEASE_SECONDS = 15

# `Last`, `Next` and `LastUpdated` of a timer, in ISO 8601
type Status = dict[str, str]


def host_id(app: Path, settings: Mapping[str, str]) -> str:
    """Name the app alike in all its instances: by setting, or by machine and folder as Core Tools does."""
    configured = settings.get("AzureFunctionsWebHost__hostid")
    if configured:
        return configured
    digest = hashlib.sha256(f"{socket.gethostname()}:{app.resolve()}".encode()).hexdigest()
    return f"local-{digest[:16]}"


class Lock:
    """A lease on a blob: one holder among all the instances.

    `blobs` is a client of the blob endpoint. Raises StorageError and StorageDownError.
    https://learn.microsoft.com/rest/api/storageservices/lease-blob
    """

    def __init__(self, blobs: Client, host: str, function: str) -> None:
        self._blobs = blobs
        self._path = f"{_CONTAINER}/locks/{host}/Host.Functions.{function}.Listener"
        self._lease_id = ""

    async def acquire(self) -> bool:
        """Take the lock for LEASE_SECONDS; False while another instance has it."""
        try:
            response = await self._lease("acquire", {"x-ms-lease-duration": str(LEASE_SECONDS)})
        except StorageError as error:
            if error.code == "LeaseAlreadyPresent":
                return False
            if error.code not in {"BlobNotFound", "ContainerNotFound"}:
                raise
            await _create_container(self._blobs)
            # Refused where another instance was quicker and has leased it by now.
            with suppress(StorageError):
                await self._blobs.request("PUT", self._path, headers=_NEW_BLOB)
            return await self.acquire()
        self._lease_id = response["x-ms-lease-id"]
        return True

    async def renew(self) -> bool:
        """Hold it for LEASE_SECONDS more; False when it was lost."""
        try:
            await self._lease("renew", {"x-ms-lease-id": self._lease_id})
        except StorageError:
            return False
        return True

    async def release(self) -> None:
        """Give it back. Where that doesn't work it ends with its time; raises nothing."""
        with suppress(StorageError, StorageDownError):
            await self._lease("release", {"x-ms-lease-id": self._lease_id})

    async def _lease(self, action: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        response = await self._blobs.request(
            "PUT",
            self._path,
            query={"comp": "lease"},
            headers={"x-ms-lease-action": action, **headers},
            retry=False,
        )
        return response.headers


class ScheduleMonitor:
    """Remembers over restarts when a timer last ran, so that what was missed is made up for.

    Raises StorageError and StorageDownError.
    """

    def __init__(self, blobs: Client, host: str, function: str) -> None:
        self._blobs = blobs
        self._path = f"{_CONTAINER}/timers/{host}/Host.Functions.{function}/status"

    async def read(self) -> Status | None:
        """Read what was recorded last; None where nothing was."""
        try:
            response = await self._blobs.request("GET", self._path)
        except StorageError as error:
            if error.code in {"BlobNotFound", "ContainerNotFound"}:
                return None
            raise
        status: Status = json.loads(response.body)
        return status

    async def write(self, *, last: datetime | None, following: datetime) -> Status:
        """Record a run (None: none yet) and the next one; returns what was recorded."""
        status = {
            "Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
            "Next": following.isoformat(),
            "LastUpdated": datetime.now(UTC).isoformat(),
        }
        await self._blobs.request("PUT", self._path, headers=_NEW_BLOB, body=json.dumps(status).encode())
        return status


async def _create_container(blobs: Client) -> None:
    try:
        await blobs.request("PUT", _CONTAINER, query={"restype": "container"})
    except StorageError as error:
        if error.code != "ContainerAlreadyExists":
            raise
