"""Shares of the processor time of one mail, by layer: `python -m bench.profile`.

The app runs in this process, without host and queue, and ingests the benchmark's mails one after another. cProfile
counts processor time of the thread. A profiler exaggerates small calls: only shares are taken from the profile, and the
milliseconds come from a run without it.
"""

import cProfile
import json
import os
import pstats
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.burst import WITHOUT_INGESTION
from bench.mails import deliver_silently, samples
from ingest import wiring
from ingest.model.message_ref import MessageRef
from ingest.settings import Settings
from local.stack import Stack

_WARM, _TIMED = 20, 50
# File or folder, and the functions by which each layer is entered: no layer calls another.
_LAYERS = {
    "Graph: two requests, by requests and urllib3": ("ingest/graph/client.py", {"_prepared", "_send", "_blocks"}),
    "Blob: two uploads by azure-core, each with its MD5": ("ingest/storage/blobs.py", {"store"}),
    "Postgres: claim, tenant, rows, end": (
        "ingest/storage/",
        {"claim", "resolve_tokens", "save", "end"},
    ),
    "Postgres: the mailbox's places": ("ingest/storage/gate.py", {"take", "give_back"}),
    "header, parts and types": ("ingest/", {"read_header", "open_mail", "detect", "read_invoice"}),
}
console = Console(width=100)


def main() -> None:
    """Print the table as Markdown."""
    settings = {"AzureWebJobs.maintain.Disabled": "true", **WITHOUT_INGESTION}
    with (
        tempfile.TemporaryDirectory(prefix="mail-ingest-profile-") as folder,
        Stack(Path(folder), settings=settings) as stack,
    ):
        app = _app(stack)
        refs = _backlog(stack, app)
        _take(app, refs[:_WARM])
        began = time.thread_time()
        _take(app, refs[_WARM : _WARM + _TIMED])
        milliseconds = 1000 * (time.thread_time() - began) / _TIMED
        profile = cProfile.Profile(time.thread_time)
        profile.runcall(_take, app, refs[_WARM + _TIMED :])
        app.close()
    _print(profile, milliseconds)


def _app(stack: Stack) -> wiring.App:
    description = json.loads((stack.data / "stack.json").read_text())
    os.environ["REQUESTS_CA_BUNDLE"] = description["ca_file"]
    return wiring.build(Settings.from_env(stack.hosts[0].environment))


def _backlog(stack: Stack, app: wiring.App) -> list[MessageRef]:
    address, mailbox = stack.add_tenant("Profile").address, stack.identity.mailboxes[0]
    deliver_silently(stack.admin, samples(_WARM + 2 * _TIMED, address=address, label="profile"), mailbox)
    return [found.ref for page in app.mailboxes.list_inbox(mailbox) for found in page]


def _take(app: wiring.App, refs: Sequence[MessageRef]) -> None:
    for ref in refs:
        app.pipeline.ingest_message(ref)


def _print(profile: cProfile.Profile, milliseconds: float) -> None:
    raw = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # typeshed leaves out what the documentation names
    total = sum(times[2] for times in raw.values())
    table = Table(box=MARKDOWN)
    table.add_column("of one mail's processor time")
    table.add_column("share", justify="right")
    table.add_column("ms", justify="right")
    left = 1.0
    for layer, (file, names) in _LAYERS.items():
        share = sum(times[3] for (path, _, name), times in raw.items() if file in path and name in names) / total
        if not share:
            raise LookupError(f"the profile has no call of {layer}: were its functions renamed?")
        left -= share
        table.add_row(layer, f"{share:.0%}", f"{share * milliseconds:.1f}")
    table.add_row("everything else", f"{left:.0%}", f"{left * milliseconds:.1f}")
    console.print(f"{milliseconds:.1f} ms of processor time for a mail in the app alone.\n", highlight=False)
    console.print(table)


if __name__ == "__main__":
    main()
