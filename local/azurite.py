"""Azurite, Microsoft's emulator of Azure Storage: installed from npm on first use, then started and stopped.

Blob and queue run as two processes: each can be taken down by itself, and a big upload doesn't hold up the
queue.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from local import node
from local.processes import Child, make_private

_HERE = Path(__file__).parent
_PACKAGES = _HERE / "node_modules"
_COMPILED = _HERE.parent / ".local" / "azurite-compiled"  # its modules, so that not every start compiles them
_READY_SECONDS = 120.0

ACCOUNT = "devstoreaccount1"
# Public and the same everywhere: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Service:
    """One of Azurite's services, blob or queue. It keeps its port, so that it can go down and come back."""

    def __init__(self, kind: Literal["blob", "queue"], data: Path, log: Path | None) -> None:
        self._kind = kind
        self._data = data
        self._log = log
        self._port = 0
        self._child: Child | None = None

    @property
    def endpoint(self) -> str:
        """Base URL with the account, as in a connection string."""
        return f"http://127.0.0.1:{self._port}/{ACCOUNT}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start it and wait until it listens. Raises ChildFailedError."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        command: list[str | Path] = [node.NODE, _PACKAGES / "azurite" / "dist" / "src" / self._kind / "main.js"]
        command += ["--location", self._data]
        command += [f"--{self._kind}Host", "127.0.0.1", f"--{self._kind}Port", str(self._port)]
        command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        make_private(self._data)
        env = os.environ | {"NODE_COMPILE_CACHE": str(_COMPILED)}
        self._child = Child(f"Azurite ({self._kind})", command, env=env, log=self._log)

    def wait_until_ready(self) -> None:
        """Wait until it listens. Raises ChildFailedError."""
        assert self._child is not None, "launch() comes first"  # noqa: S101 - a mistake of the caller
        self._port = self._child.wait_until_ready(_listening_port, timeout=_READY_SECONDS)

    def stop(self) -> None:
        """Stop it; what it holds is written to disk first. Nothing happens where it isn't running."""
        if self._child is not None:
            self._child.stop()
            self._child = None


class Azurite:
    """A running Azurite: `connection_string` for clients, `blob` and `queue` to take down one by one."""

    def __init__(self, *, data: Path, log: Path | None = None) -> None:
        self.blob = Service("blob", data / "blob", log)
        self.queue = Service("queue", data / "queue", log)

    @property
    def connection_string(self) -> str:
        """For the Azure SDKs and for `AzureWebJobsStorage`."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob.endpoint};QueueEndpoint={self.queue.endpoint};"
        )

    def stop(self) -> None:
        """Stop both services."""
        self.queue.stop()
        self.blob.stop()


@contextlib.contextmanager
def running(*, data: Path, log: Path | None = None) -> Iterator[Azurite]:
    """Run Azurite on free loopback ports for the length of a `with` block.

    `data` is where it keeps blobs and messages; `log` takes its output (our standard error where it is None).
    Raises ChildFailedError when it doesn't start, subprocess.CalledProcessError when it can't be installed.
    """
    install()
    azurite = Azurite(data=data, log=log)
    try:
        azurite.blob.launch()
        azurite.queue.launch()
        azurite.blob.wait_until_ready()
        azurite.queue.wait_until_ready()
        yield azurite
    finally:
        azurite.stop()


def install() -> None:
    """Install Azurite from npm, unless that has been done. Raises subprocess.CalledProcessError."""
    node.install(_HERE, "Azurite")


def _listening_port(line: str) -> int | None:
    match = re.search(r"successfully listens on http://127\.0\.0\.1:(\d+)", line)
    return int(match[1]) if match else None
