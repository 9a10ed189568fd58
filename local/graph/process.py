"""The simulator as a child process, for tests, tools and the stack."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.graph.admin.client import Admin
from local.processes import ROOT, Child, json_object, make_private

_READY_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class GraphEndpoint:
    """The place of a Graph. `ca_file` checks its certificate; None: the CAs that requests uses."""

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
    """One simulator. Mails live in its memory: an outage is made by `admin`, not by `stop` and `start`.

    Its addresses and `admin` are known once it was started.
    """

    def __init__(
        self, data: Path, identity: Identity, *, arguments: Sequence[str] = (), log: Path | None = None
    ) -> None:
        """Prepare a simulator that keeps its contents in `data`; `arguments` are options of `python -m local.graph`.

        `log` takes its output; None: `graph.log` beside `data`.
        """
        self.name = "the Graph simulator"
        self.identity = identity
        self._data = data
        self._log = log or data.parent / "graph.log"
        self._command: list[str | Path] = [
            *(sys.executable, "-m", "local.graph", "--data", data),
            *("--client-id", identity.client_id, "--tenant-id", identity.tenant_id),
            *(part for mailbox in identity.mailboxes for part in ("--mailbox", mailbox)),
            *arguments,
        ]
        self._child: Child | None = None

    @property
    def ended(self) -> bool:
        """True where it was started and has ended by itself."""
        return self._child is not None and self._child.returncode is not None

    @property
    def pid(self) -> int | None:
        """The process id, while it has been started."""
        return self._child.pid if self._child else None

    @property
    def endpoint(self) -> GraphEndpoint:
        """The place of its Graph and of its token endpoint."""
        return GraphEndpoint(
            graph_base_url=self.graph_base_url, authority_host=self.authority_host, ca_file=self.ca_file
        )

    def start(self) -> None:
        """Start it and wait until it listens. Raises ChildFailedError."""
        make_private(self._data)
        # In the environment, not among the arguments, which every user of a machine can list.
        environment = _unmeasured(os.environ) | {"AZURE_INGEST_CLIENT_SECRET": self.identity.client_secret}
        child = Child(self.name, self._command, env=environment, cwd=ROOT, log=self._log)
        self._child = child
        listening = child.wait_until_ready(json_object, timeout=_READY_SECONDS)
        self.graph_base_url: str = listening["graph_base_url"]
        self.authority_host: str = listening["authority_host"]
        self.ca_file = Path(listening["ca_file"])
        self.smtp_host: str = listening["smtp_host"]
        self.smtp_port: int = listening["smtp_port"]
        self.admin = Admin(listening["admin_url"])

    def stop(self) -> None:
        """Stop it; all mail in it is gone."""
        if self._child is None:
            return
        if hasattr(self, "admin"):
            self.admin.close()
        self._child.stop()
        self._child = None


def _unmeasured(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the variables by which coverage.py measures a child: the simulator runs no code of the app.

    Measuring costs a third of a process's speed.
    """
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@contextlib.contextmanager
def running_simulator(data: Path, mailboxes: Sequence[str], *arguments: str) -> Iterator[Simulator]:
    """Run a simulator for the length of a `with` block; the app that it knows is the same each time.

    Raises ChildFailedError where the simulator does not start.
    """
    simulator = Simulator(
        data,
        Identity(
            client_id="0d4b1f0a-52c8-4a0e-8f2c-1c9a5f6b7e22",
            client_secret="simulated",  # noqa: S106 - opens nothing but the simulator
            tenant_id="6f1c2f2e-7d0c-4b57-9a3c-5a0f6e0b9d11",
            mailboxes=tuple(mailboxes),
        ),
        arguments=arguments,
    )
    try:
        simulator.start()
        yield simulator
    finally:
        simulator.stop()
