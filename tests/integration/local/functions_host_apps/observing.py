"""A plugin for the functions host: writes every operation on a queue to the file OPERATIONS."""

import os
from pathlib import Path

from local.functions_host.host import Host
from local.functions_host.storage import Phase


def install(host: Host) -> None:
    def observe(name: str, phase: Phase) -> None:
        with Path(os.environ["OPERATIONS"]).open("a") as operations:
            operations.write(f"{name} {phase}\n")

    host.observers.append(observe)
