"""The search of the console and the command line over a million mails: `python -m bench.search [--mails 1000000]`.

Senders, subjects and file names have words that are frequent, rare and single (`bench.records`). `make bench` measures
the same in the part `growth`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench import records
from operations.mails.search import Search

ROUNDS = 7
GOAL_SECONDS = 0.3
QUERIES = {
    "nothing typed": "",
    "a word of every mail": "rechnung",
    "the beginning of one": "rec",
    "one supplier of 5,000": "lieferant4711",
    "one mail of all": "RE-765432",
    "a word of no mail": "xylophon",
    "a frequent and a rare word": "rechnung lieferant17",
    "a tenant": "Mandant 815",
    "a day": "gestern rechnung",
    "a state": "quarantine",
}


def main() -> int:
    """Fill a database, search, and print a table. Return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--mails", type=int, default=1_000_000)
    options = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        records.databases(Path(folder) / "records", options.mails) as (recorded,),
    ):
        print(f"{options.mails:,} mails in {time.monotonic() - began:.0f} s")
        medians = measure(recorded.owner_url)
    for name, median in medians.items():
        print(f"  {name:<28} {QUERIES[name]!r:<28} {1000 * median:6.0f} ms")
    worst = max(medians.values())
    print(f"slowest: {worst * 1000:.0f} ms, goal: {GOAL_SECONDS * 1000:.0f} ms")
    return 0 if worst < GOAL_SECONDS else 1


def measure(database_url: str) -> dict[str, float]:
    """Return the median seconds of each query of QUERIES."""
    search = Search(database_url)
    return {name: statistics.median(_seconds(search, text) for _ in range(ROUNDS)) for name, text in QUERIES.items()}


def _seconds(search: Search, text: str) -> float:
    began = time.perf_counter()
    search.find(text)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
