"""The parts of the stack that run this repository's code: Graph simulator and functions host."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.processes import Child, json_object

ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 60.0
type HostKind = Literal["stand-in", "func"]


class PartMissingError(RuntimeError):
    """A program that was asked for is not on this machine; the message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class GraphEndpoint:
    """Where Graph is. `ca_file`: what its certificate is checked with; None: what requests goes by."""

    graph_base_url: str
    authority_host: str
    ca_file: Path | None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The service principal of the app, and the mailboxes that it may work on."""

    client_id: str
    client_secret: str
    tenant_id: str
    mailboxes: tuple[str, ...]


class Simulator:
    """The Graph simulator. Its mails live in its memory: to take it down and back, use its admin's outage."""

    def __init__(self, data: Path, identity: Identity, *, arguments: Sequence[str] = ()) -> None:
        self._data = data
        self._command: list[str | Path] = [
            *(sys.executable, "-m", "local.graph", "--data", data),
            # With an equals sign: a secret may begin with a dash.
            *("--client-id", identity.client_id, f"--client-secret={identity.client_secret}"),
            *("--tenant-id", identity.tenant_id),
            *(part for mailbox in identity.mailboxes for part in ("--mailbox", mailbox)),
            *arguments,
        ]
        self.name = "the Graph simulator"
        self._child: Child | None = None

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._child is not None and self._child.returncode is not None

    def start(self) -> None:
        """Start it and wait until it listens. Raises ChildFailedError."""
        self._data.mkdir(parents=True, exist_ok=True)
        child = Child(self.name, self._command, cwd=ROOT, log=self._data.parent / "graph.log")
        self._child = child
        listening = child.wait_until_ready(json_object, timeout=_READY_SECONDS)
        self.endpoint = GraphEndpoint(
            graph_base_url=listening["graph_base_url"],
            authority_host=listening["authority_host"],
            ca_file=Path(listening["ca_file"]),
        )
        self.admin_url: str = listening["admin_url"]
        self.smtp_host: str = listening["smtp_host"]
        self.smtp_port: int = listening["smtp_port"]

    def stop(self) -> None:
        """Stop it, and with it all mail that it holds."""
        if self._child is not None:
            self._child.stop()
            self._child = None


class FunctionsHost:
    """One host process that runs the app. It keeps its port, so that it can go down and come back."""

    def __init__(
        self,
        port: int,
        *,
        environment: Mapping[str, str],
        kind: HostKind = "stand-in",
        arguments: Sequence[str] = (),
        log: Path,
    ) -> None:
        self.port = port
        self.name = f"the functions host on port {port}"
        self._kind = kind
        self.arguments = arguments
        self.environment = environment
        self.log = log
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Base URL of the app."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id, while it has been started."""
        return self._child.pid if self._child else None

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._child is not None and self._child.returncode is not None

    def start(self) -> None:
        """Start it and wait until it serves. Raises ChildFailedError, PartMissingError."""
        if self._kind == "func":
            command = [find_core_tools(), "start", "--port", str(self.port)]
            recognise = _core_tools_are_ready
        else:
            command = [
                sys.executable,
                "-m",
                "local.functions_host",
                "--app",
                str(ROOT),
                "--port",
                str(self.port),
            ]
            recognise = json_object
        child = Child(self.name, [*command, *self.arguments], env=self.environment, cwd=ROOT, log=self.log)
        self._child = child
        child.wait_until_ready(recognise, timeout=_READY_SECONDS)

    def stop(self) -> None:
        """Let it end what it is at, and stop it."""
        if self._child is not None:
            self._child.stop(grace=40)  # a host waits 30 s for what runs
            self._child = None


def find_core_tools() -> str:
    """Find the program of Azure Functions Core Tools. Raises PartMissingError."""
    func = shutil.which("func")
    if func is None:
        raise PartMissingError(
            "func is not on the PATH. Install Azure Functions Core Tools 4 "
            "(https://learn.microsoft.com/azure/azure-functions/functions-run-local), "
            "or use the stand-in: make up"
        )
    return func


def _core_tools_are_ready(line: str) -> dict[str, object] | None:
    return {} if "Worker process started and initialized" in line else None
