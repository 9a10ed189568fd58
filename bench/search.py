"""The search of the console and the command line over a million mails.

    python -m bench.search [--mails 1000000]

Senders, subjects and file names are drawn from a vocabulary in which words are frequent, rare and single.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import LiteralString

import psycopg

from local.postgres import Postgres
from operations.search import Search

ROUNDS = 7
GOAL_SECONDS = 0.3
TENANTS = 1000

# Each mail has a frequent word (rechnung), one of 5,000 suppliers, a number of its own, and a file named by it.
_FILL: LiteralString = """
insert into dms_tenant (name) select 'Mandant ' || n from generate_series(1, %(tenants)s) as n;
"""
_MAILS: LiteralString = """
with claim as (
    insert into ingest.claim (mailbox, message_id, state, trigger, attempts, received_at, ended_at)
    select 'upload@dms.cloud', 'AAk' || n, 'deleted', 'webhook', 1, now() - n * interval '20 seconds', now()
    from generate_series(1, %(mails)s) as n
    returning id, received_at
)
insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at, stored_at,
    container, blob_name, size, sha256, rules_version, search)
select id, 1 + id %% %(tenants)s, '<' || id || '@lieferant.example>', 'Rechnung RE-' || id,
    'buchhaltung@lieferant' || id %% 5000 || '.example', 'webhook', received_at, received_at + interval '3 seconds',
    'documents', 'blob', 50000, 'hash', 1,
    to_tsvector('simple', 'rechnung re ' || id || ' buchhaltung lieferant' || id %% 5000 || ' example re '
        || id || ' pdf')
from claim
"""
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
    with tempfile.TemporaryDirectory() as folder:
        postgres = Postgres(Path(folder) / "postgres")
        postgres.start()
        try:
            postgres.migrate()
            began = time.monotonic()
            fill(postgres.owner_url, options.mails)
            print(f"{options.mails:,} mails in {time.monotonic() - began:.0f} s")
            worst = max(measure(postgres.owner_url).values())
        finally:
            postgres.stop()
    print(f"slowest: {worst * 1000:.0f} ms, goal: {GOAL_SECONDS * 1000:.0f} ms")
    return 0 if worst <= GOAL_SECONDS else 1


def fill(owner_url: str, mails: int) -> None:
    """Make tenants and mails, past row-level security: the bench's own login is a superuser."""
    with psycopg.connect(owner_url) as connection:
        parameters = {"mails": mails, "tenants": TENANTS}
        connection.execute("alter table ingest.message no force row level security")
        connection.execute(_FILL, parameters)
        connection.execute(_MAILS, parameters)
        connection.execute("alter table ingest.message force row level security")
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("vacuum analyze ingest.message")
        connection.execute("vacuum analyze ingest.claim")


def measure(database_url: str) -> dict[str, float]:
    """Return the median seconds of each query, and print them."""
    search = Search(database_url)
    medians: dict[str, float] = {}
    for name, text in QUERIES.items():
        times: list[float] = []
        found = 0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            found = len(search.find(text))
            times.append(time.perf_counter() - began)
        medians[name] = statistics.median(times)
        print(f"  {name:<28} {text!r:<28} {medians[name] * 1000:6.0f} ms   {found} found")
    return medians


if __name__ == "__main__":
    sys.exit(main())
