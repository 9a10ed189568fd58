"""The report at the end of a run."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.points import CALLS
from tests.chaos.run import Plan, Result

_SHOWN = 20  # mails of each kind of trouble; the rest is counted


def report(console: Console, plan: Plan, result: Result) -> None:
    """Print it: the points, the faults, the books."""
    console.print(_points(result))
    console.print(_faults(result))
    books = result.books
    quarantined = ", ".join(f"{count} {reason}" for reason, count in sorted(books.quarantined.items()))
    for title, troubles in (("Lost", books.lost), ("Duplicates", books.duplicates), ("Wrong", books.wrong)):
        for subject, what in list(troubles.items())[:_SHOWN]:
            console.print(f"[red]{title}[/] {escape(subject)}: {escape(what)}")
    missed = f": not {', '.join(result.missed)}" if result.missed and plan.points >= len(result.kills) else ""
    console.print(
        f"{result.mails} mails: {books.stored} stored in {books.blobs} blobs, in Quarantine {quarantined or 'none'}\n"
        f"{result.deaths} processes killed, {books.taken_over} mails taken over from them, "
        f"{result.released} released from Quarantine, at most {books.most_attempts} attempts on one mail\n"
        f"{result.outages} outages, {result.subscriptions_removed} times all subscriptions removed\n"
        f"{len(result.kills) - len(result.missed)} of {len(result.kills)} kill points hit{missed}"
    )
    colour = "green" if books.balanced else "red"
    console.print(
        f"[{colour}]{len(books.lost)} lost, {len(books.duplicates)} duplicates, {len(books.wrong)} wrong[/], "
        f"{result.seconds:.0f} seconds, seed {plan.seed}"
    )


def _points(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Where processes were killed", title_justify="left")
    for heading in ("Call", "Passed", "Killed before", "Killed after"):
        table.add_column(heading, justify="left" if heading == "Call" else "right")
    for call in CALLS:
        before, after = f"{call} before", f"{call} after"
        table.add_row(
            call, f"{result.passed[before]:,}", str(result.kills[before] or "-"), str(result.kills[after] or "-")
        )
    return table


def _faults(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Faults injected", title_justify="left")
    for heading in ("Of", "Calls", "Faults", "Share", "Kinds"):
        table.add_column(heading, justify="right" if heading in {"Calls", "Faults", "Share"} else "left")
    for name, kinds in result.faults.items():
        total, calls = sum(kinds.values()), result.calls[name]
        shown = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        table.add_row(name, f"{calls:,}", f"{total:,}", f"{total / max(calls, 1):.1%}", shown)
    return table
