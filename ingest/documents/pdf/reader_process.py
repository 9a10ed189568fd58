"""The process that reads PDFs for the app: started by `ingest.documents.pdf.reader_pool`, killed when a file is costly.

Standard input is a socket. `ingest.documents.pdf.reader_protocol` has the form of requests and answers.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress

from ingest.documents.pdf.findings import INTRICATE
from ingest.documents.pdf.objects import read_objects
from ingest.documents.pdf.reader_protocol import READY, REQUEST, to_line

assert sys.platform != "win32"  # noqa: S101 - the pool starts no process there

MEMORY = 48 * 1024 * 1024  # bytes beyond those of an idle process


def main() -> None:
    """Answer requests until the other side closes the socket. A costly file ends the process by SIGPROF."""
    with socket.socket(fileno=0) as connection:
        _leave_network()
        _limit_memory()
        connection.sendall(READY)
        while True:
            request, descriptors, _, _ = socket.recv_fds(connection, REQUEST.size, 1)
            if not request:
                return
            (seconds,) = REQUEST.unpack(request)
            started = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            with os.fdopen(descriptors[0], "rb") as file:
                found = read_objects(file)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.sendall(to_line(found, time.process_time() - started))
            if found.problem == INTRICATE:
                return  # the memory may be full: a new process takes over


def _leave_network() -> None:
    """Move to a network of its own, which leads nowhere. Where the kernel refuses, the network stays.

    Linux gives an unprivileged process such a network together with a user namespace:
    https://man7.org/linux/man-pages/man7/user_namespaces.7.html
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)


def _limit_memory() -> None:
    """Limit the address space. macOS lacks the means; there the time alone is limited."""
    import resource  # noqa: PLC0415 - Unix only

    try:
        with open("/proc/self/statm", "rb") as status:  # noqa: PTH123 - Linux only, in pages
            used = int(status.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except OSError:
        return
