"""A functions host as a child process: the stand-in of this repository, or Azure Functions Core Tools."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from local.processes import ROOT, Child, json_object

_READY_SECONDS = 120.0
type HostKind = Literal["stand-in", "func"]


class CoreToolsMissingError(RuntimeError):
    """Azure Functions Core Tools are not on this machine; the message says how to get them."""


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
        """True where it was started and has ended by itself."""
        return self._child is not None and self._child.returncode is not None

    def start(self) -> None:
        """Start it and wait until it serves. Raises ChildFailedError, CoreToolsMissingError."""
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
    """Find the program of Azure Functions Core Tools. Raises CoreToolsMissingError."""
    func = shutil.which("func")
    if func is None:
        raise CoreToolsMissingError(
            "func is not on the PATH. Install Azure Functions Core Tools 4 "
            "(https://learn.microsoft.com/azure/azure-functions/functions-run-local), "
            "or use the stand-in: make up"
        )
    return func


def _core_tools_are_ready(line: str) -> dict[str, object] | None:
    return {} if "Worker process started and initialized" in line else None
