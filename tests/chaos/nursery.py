"""Hosts by the dozen: one process that has imported everything and forks into a host whenever one is wanted.

A host that starts from nothing spends two seconds of processor time on imports, which is longer than it lives here.
The forks are processes like any other, and die of SIGKILL like any other.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any, Self

from local.functions_host import __main__ as host
from local.functions_host.process import FunctionsHost
from local.processes import ROOT

_MODULES = (
    "azure.functions",
    "ingest.storage.blobs",
    "ingest.storage.gate",
    "ingest.graph.mailbox",
    "ingest.pipeline",
    "ingest.storage.claims",
    "ingest.storage.copies",
    "ingest.sweep",
    "ingest.wiring",
    "subscriptions.maintenance",
    "tests.chaos.plugin",
)
_PR_SET_PDEATHSIG = 1


class Nursery:
    """The harness's side: starts hosts, and names the hosts that have ended."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._pids: dict[FunctionsHost, int] = {}
        return self

    def __exit__(self, *_: object) -> None:
        """All hosts die with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, host: FunctionsHost) -> None:
        """Start a process for what is laid out as `host`, without waiting for it."""
        arguments = ["--app", str(ROOT), "--port", str(host.port), *host.arguments]
        wanted = {"arguments": arguments, "environment": {**host.environment}, "log": str(host.log)}
        self._pids[host] = self._ask({"start": wanted})

    def dead(self) -> list[FunctionsHost]:
        """The hosts that have ended and were not started again since."""
        ended = set(self._ask({"ended": None}))
        return [host for host, pid in self._pids.items() if pid in ended]

    def _ask(self, question: Mapping[str, object]) -> Any:  # noqa: ANN401 - an answer in JSON
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class _Parent:
    """The process that forks. It must have no thread, and opens nothing that its children would share."""

    def __init__(self) -> None:
        self._ended: list[int] = []
        self._alive: set[int] = set()

    def run(self) -> None:
        for module in _MODULES:
            importlib.import_module(module)
        signal.signal(signal.SIGTERM, _leave)
        try:
            for line in sys.stdin:
                print(json.dumps(self._answer(json.loads(line))), flush=True)  # noqa: T201 - the answer
        finally:
            for pid in self._alive:
                os.kill(pid, signal.SIGKILL)

    def _answer(self, question: Mapping[str, Any]) -> object:
        self._reap()
        if "start" in question:
            pid = _fork(**question["start"])
            self._alive.add(pid)
            self._ended = [ended for ended in self._ended if ended != pid]  # numbers come again
            return pid
        return self._ended

    def _reap(self) -> None:
        while self._alive:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._alive.discard(pid)
            self._ended.append(pid)


def _fork(arguments: Sequence[str], environment: Mapping[str, str], log: str) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.argv = ["functions host", *arguments]
    os._exit(host.main())


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    _Parent().run()
