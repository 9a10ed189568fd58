"""The console beside a running stack, as a child process."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.processes import Child
from local.stack import Stack

_READY_SECONDS = 120.0
_LINK = re.compile(r"http://127\.0\.0\.1:\d+/enter\?key=\S+")


@contextmanager
def running_console(stack: Stack) -> Iterator[str]:
    """Start the console and yield the link that opens the page, once. Raises ChildFailedError."""
    command = [sys.executable, "-m", "ingest", "console", "--port", "0", "--no-browser"]
    with Child("the console", command, env=stack.operator_environment(), log=stack.data / "console.log") as child:
        yield child.wait_until_ready(_link, timeout=_READY_SECONDS)


def _link(line: str) -> str | None:
    found = _LINK.search(line)
    return found[0] if found else None
