"""The plugin of each host, `--plugin tests.chaos.plugin:install`: it kills its own process on request."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Lock

from ingest import trace
from local.functions_host.host import Host
from tests.chaos.control import Control
from tests.chaos.points import POINTS

CONTROL = "CHAOS_CONTROL"  # the variable that names the file of the Control
_KNOWN = frozenset(POINTS)


def install(host: Host) -> None:
    """Watch every call of the app and of the host's queues."""
    control = Control(Path(os.environ[CONTROL]))
    lock = Lock()

    def watch(call: str, phase: str) -> None:
        point = f"{call} {phase}"
        if point not in _KNOWN:
            return  # test_points.py finds the call that is not listed
        with lock:
            dies = control.pass_by(point)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    trace.subscribe(watch)
    host.observers.append(watch)
