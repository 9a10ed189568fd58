"""The simulator as a child process: how tests and tools start it and learn where it listens."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.graph.admin.client import Admin
from local.processes import Child, json_object

_PATIENCE = 20.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A running simulator and the credentials of its one app. Close `admin` when done."""

    graph_base_url: str
    authority_host: str
    ca_file: Path
    smtp_host: str
    smtp_port: int
    tenant_id: str
    client_id: str
    client_secret: str
    admin: Admin
    pid: int


@contextlib.contextmanager
def running_simulator(
    data: Path,
    mailboxes: Sequence[str],
    *options: str,
    tenant_id: str = "6f1c2f2e-7d0c-4b57-9a3c-5a0f6e0b9d11",
    client_id: str = "0d4b1f0a-52c8-4a0e-8f2c-1c9a5f6b7e22",
    client_secret: str = "simulated",  # noqa: S107 - opens nothing but the simulator
    log: Path | None = None,
) -> Iterator[Simulator]:
    """Start it, wait until it listens, stop it at the end of the block.

    `options` are further ones of `python -m local.graph`. Raises ChildFailedError where it does not come up.
    """
    command: list[str | Path] = [sys.executable, "-m", "local.graph", "--data", data]
    for address in mailboxes:
        command += ["--mailbox", address]
    command += [
        "--tenant-id",
        tenant_id,
        "--client-id",
        client_id,
        "--client-secret",
        client_secret,
        *options,
    ]
    log = log or data.parent / "graph-simulator.log"
    with Child("Graph simulator", command, cwd=_ROOT, log=log) as child:
        addresses = child.wait_until_ready(json_object, timeout=_PATIENCE)
        with contextlib.closing(Admin(addresses["admin_url"])) as admin:
            yield Simulator(
                graph_base_url=addresses["graph_base_url"],
                authority_host=addresses["authority_host"],
                ca_file=Path(addresses["ca_file"]),
                smtp_host=addresses["smtp_host"],
                smtp_port=addresses["smtp_port"],
                tenant_id=tenant_id,
                client_id=client_id,
                client_secret=client_secret,
                admin=admin,
                pid=child.pid,
            )
