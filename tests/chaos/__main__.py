"""`python -m tests.chaos`: mails while everything goes wrong, and the proof that none is lost and none doubled."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from local.graph.process import GraphEndpoint
from local.terminal import console
from tests.chaos.report import report
from tests.chaos.run import LONG, SHORT, Chaos, Foreign

_LONG_FROM = 1000  # mails; fewer are a short run, with shorter times
_PROGRESS_SECONDS = 10  # between two lines where no terminal is attached


def main() -> int:
    """Run it; 0 if the books balance and every point was hit."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    plan = replace(
        SHORT if options.mails < _LONG_FROM else LONG, mails=options.mails, seed=options.seed, points=options.points
    )
    shutil.rmtree(options.data, ignore_errors=True)
    options.data.mkdir(parents=True)
    console.print(f"{plan.mails} mails, seed {plan.seed}; logs in {options.data}")
    with console.status("starting") as status:
        show = status.update if console.is_terminal else _now_and_then()
        result = Chaos(plan, options.data, foreign=_foreign(options), show=show).run()
    report(console, plan, result)
    if result.books.balanced and len(result.missed) <= max(0, len(result.kills) - plan.points):
        return 0
    console.print(f"To see it again: make chaos SEED={plan.seed} MAILS={plan.mails}")
    return 1


def _now_and_then() -> Callable[[str], None]:
    said = 0.0

    def show(progress: str) -> None:
        nonlocal said
        if time.monotonic() - said > _PROGRESS_SECONDS:
            said = time.monotonic()
            console.print(f"{time.strftime('%H:%M:%S')} {progress}")

    return show


def _foreign(options: argparse.Namespace) -> Foreign | None:
    if options.graph_base_url is None:
        return None
    host, _, port = (options.smtp or "").rpartition(":")
    if not host or not port.isdecimal():
        sys.exit("With another Graph endpoint, --smtp HOST:PORT has to say where mail to its mailbox is taken.")
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    endpoint = GraphEndpoint(
        graph_base_url=options.graph_base_url,
        authority_host=options.authority_host,
        ca_file=Path(bundle) if bundle else None,
    )
    return Foreign(endpoint=endpoint, smtp=(host, int(port)))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--mails", type=int, default=LONG.mails, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=LONG.seed, help="of mails, faults and deaths (%(default)s)")
    parser.add_argument("--points", type=int, default=LONG.points, help="at which processes die (%(default)s: all)")
    parser.add_argument("--data", type=Path, default=Path(".local/chaos"), help="emptied first (%(default)s)")
    parser.add_argument(
        "--graph-base-url",
        metavar="URL",
        help="another Graph endpoint in the place of the simulator; AZURE_INGEST_… in the environment say who "
        "the app is there, REQUESTS_CA_BUNDLE whom to trust. What only the simulator can do is left out",
    )
    parser.add_argument("--authority-host", metavar="URL", default="https://login.microsoftonline.com")
    parser.add_argument("--smtp", metavar="HOST:PORT", help="where the mailbox of that endpoint gets its mail")
    return parser


if __name__ == "__main__":
    sys.exit(main())
