"""Child processes of the local stack: stopped with us, in order, and never left behind.

Each is in a process group of its own, so that a Ctrl-C at the terminal reaches only us: all of them at once
would lose the database while the host is still finishing. A parent that is killed with SIGKILL can't clean
up: on Linux the kernel then sends SIGTERM to its children (`PR_SET_PDEATHSIG`, prctl(2)).
"""

import collections
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# Set in the child and kept across exec. A stub that execs, rather than `preexec_fn`, because running Python
# after a fork can deadlock where there are threads. The second look: the parent may have gone before prctl.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""
_LAST_LINES = 40
_FLUSH_SECONDS = 10  # for the rest of the output; a grandchild that lives on may keep the pipe open
_PORTS = range(20_000, 30_000)  # below net.ipv4.ip_local_port_range of Linux, 49152 of others

ROOT = Path(__file__).resolve().parent.parent  # of the repository, where `python -m local.…` runs


class ChildFailedError(RuntimeError):
    """A child process ended, or never became ready. The message holds its last lines of output."""


class Child:
    """A running child process; as a context manager it is stopped at the end of the block.

    A thread reads its standard output and error to their end, so that it never blocks on a full pipe. They go to
    the file `log`, or to our own standard error where `log` is None.

    Start it from a thread that lives as long as it should: to the kernel, "the parent died" means the thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._last: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._ready = False
        arguments = [os.fspath(part) for part in command]
        if sys.platform == "linux":
            stub = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
            arguments = stub + arguments
        self._process = subprocess.Popen(  # noqa: S603 - the commands are the stack's own, nothing comes from outside
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            process_group=0 if os.name == "posix" else None,
            umask=0o077 if os.name == "posix" else -1,  # mails, tokens and logs are for our user only
        )
        self._pump = threading.Thread(target=self._read, args=(log,), name=f"output of {name}", daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the child runs."""
        return self._process.poll()

    def wait_until_ready[T](self, recognise: Callable[[str], T | None], *, timeout: float) -> T:
        """Return what `recognise` makes of the first line of output for which that isn't None.

        Raises ChildFailedError when the child ends, or `timeout` seconds pass, without such a line.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ChildFailedError(self._story(f"was not ready after {timeout:g} s")) from None
            if line is None:
                code = self._process.wait()
                raise ChildFailedError(self._story(f"ended with exit code {code} before it was ready"))
            if (found := recognise(line)) is not None:
                self._ready = True
                return found

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the child to end by itself; its exit code. Raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout)
        self._pump.join(_FLUSH_SECONDS)
        return code

    def kill(self) -> None:
        """End the child at once (SIGKILL), as a crash would, and wait until it is gone."""
        self._process.kill()
        self.wait()

    def stop(self, *, grace: float = 60.0) -> int:
        """Ask the child to end (SIGTERM), kill it if it still runs after `grace` seconds; its exit code."""
        self._process.terminate()
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self, log: Path | None) -> None:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - asked for with PIPE; for the type checker
        if log is not None:
            log.touch(mode=0o600)
        sink = log.open("ab") if log is not None else sys.stderr.buffer
        try:
            for raw in output:
                sink.write(raw)
                sink.flush()
                line = raw.decode(errors="replace").rstrip("\r\n")
                self._last.append(line)
                if not self._ready:
                    self._lines.put(line)
        finally:
            self._lines.put(None)
            output.close()
            if log is not None:
                sink.close()

    def _story(self, what: str) -> str:
        return "\n  ".join([f"{self.name} {what}. Its last output:", *(self._last or ["(none)"])])


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for our user only; folders that exist stay as they are."""
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)


def json_object(line: str) -> dict[str, Any] | None:
    """Recognise the ready line of the stack's own servers: one JSON object. None for any other line."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def free_port() -> int:
    """Find a port of the loopback that is free now, for a server that needs to know its port before it listens.

    No kernel gives a port of this range to a connection: a connection could take the port before the server listens,
    or while the server is down.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
