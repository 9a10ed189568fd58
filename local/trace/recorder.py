"""The plugin of a host that is traced: `--plugin local.trace.recorder:record`. Appends every call to a file."""

import json
import os
import threading
import time
from pathlib import Path

from ingest import trace
from local.functions_host.host import Host

FILE = "LOCAL_TRACE"  # the variable that names the file


def record(host: Host) -> None:
    """Note the beginning and the end of every call of the app and of the host's queues, one JSON line each."""
    file = Path(os.environ[FILE]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as the host

    def note(call: str, phase: str) -> None:
        line = {"call": call, "phase": phase, "thread": threading.get_ident(), "at": time.monotonic()}
        file.write(json.dumps(line) + "\n")

    trace.subscribe(note)
    host.observers.append(note)
