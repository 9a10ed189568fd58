"""Instances and costs on Azure for a number of mails, from measured results: `python -m bench.cost [results.json]`.

`--write` puts the tables into docs/scale-and-cost.md.

Prices are list prices in USD without tax, West Europe as far as they differ. Check them before you rely on the sums:
https://azure.microsoft.com/pricing/details/functions/ and https://azure.microsoft.com/pricing/details/storage/blobs/
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from bench.report import main
from local.processes import ROOT

# Exchange Online: a mailbox receives at most 3,600 messages an hour.
# https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
RECEIVED_PER_HOUR = 3_600
_PROCESSORS = {512: 0.25, 2048: 1.0, 4096: 2.0}  # of a Flex Consumption instance, by its memory in MB
_INSTANCE = 2048

# Flex Consumption, on demand: for each GB-second of an instance that runs something, and for each execution.
_GB_SECOND = 0.000026
_EXECUTION = 0.40 / 1_000_000
_FREE_GB_SECONDS, _FREE_EXECUTIONS = 100_000, 250_000  # a month and subscription
_QUEUE_OPERATION = 0.04 / 100_000  # class 1, LRS
_BLOB_WRITE = 0.055 / 10_000  # hot, LRS
_BLOB_GB_MONTH = 0.0184

_QUEUE_OPERATIONS = 3  # put, get, delete; `get` brings up to 16 and is counted as if it brought one
_EXECUTIONS = 2  # webhook and ingest_message
_BLOBS = 2
_MAIL_BYTES = 240_000  # original and document of the mail that is measured


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one run. Rates are mails a second, `cpu` is seconds of the app's process for one mail."""

    mailbox_rate: float
    cpu: float
    single_seconds: float


def read(results: Path) -> Figures:
    """Read the figures of one kept run. Raises KeyError where a row is missing."""
    values = {row["name"]: row["values"] for row in json.loads(results.read_text(encoding="utf-8"))["rows"]}
    return Figures(
        mailbox_rate=values["webhook"]["rate"],
        cpu=values["cpu"]["host"] / 1000,
        single_seconds=values["single"]["milliseconds"] / 1000,
    )


def capacity(figures: Figures, mails_per_minute: float) -> tuple[int, int]:
    """Return mailboxes by Exchange's limit and instances by the processor, each at half of its capacity."""
    mailboxes = math.ceil(mails_per_minute * 60 / RECEIVED_PER_HOUR)
    instances = math.ceil(mails_per_minute / 60 * figures.cpu / (0.5 * _PROCESSORS[_INSTANCE]))
    return mailboxes, max(1, instances)


def dollars(figures: Figures, mails: int) -> dict[str, float]:
    """Return the price of each item, for `mails`. An instance is billed while a function runs on it."""
    # A mail alone on its instance is billed for all of its time; many side by side share it, down to their processor
    # time at half load. Both ends are printed.
    alone = figures.single_seconds * _INSTANCE / 1024
    shared = figures.cpu / 0.5 * _INSTANCE / 1024
    return {
        "execution time, each mail alone": max(0.0, mails * alone - _FREE_GB_SECONDS) * _GB_SECOND,
        "execution time, under load": max(0.0, mails * shared - _FREE_GB_SECONDS) * _GB_SECOND,
        "executions": max(0.0, mails * _EXECUTIONS - _FREE_EXECUTIONS) * _EXECUTION,
        "queue": mails * _QUEUE_OPERATIONS * _QUEUE_OPERATION,
        "blobs written": mails * _BLOBS * _BLOB_WRITE,
        "blobs kept, each month": mails * _MAIL_BYTES / 1e9 * _BLOB_GB_MONTH,
    }


def markdown(results: Path) -> str:
    """Return both tables as Markdown, with the figures behind them above."""
    figures = read(results)
    measured = (
        f"{figures.mailbox_rate:.1f} mails/s for one mailbox by webhook, {1000 * figures.cpu:.0f} ms of processor and "
        f"{1000 * figures.single_seconds:.0f} ms for one mail"
    )
    lines = [
        f"From `bench/results/{results.name}`: {measured}.",
        "",
        f"| mails a minute | mailboxes (Exchange) | instances of {_INSTANCE} MB (processor) |",
        "|---:|---:|---:|",
    ]
    for rate in (1, 100, 10_000):
        mailboxes, instances = capacity(figures, rate)
        lines.append(f"| {rate:,} | {mailboxes:,} | {instances:,} |")
    lines += ["", "| a million mails | USD |", "|---|---:|"]
    lines += [f"| {item} | {amount:.2f} |" for item, amount in dollars(figures, 1_000_000).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main(ROOT / "docs" / "scale-and-cost.md", markdown, __doc__)
