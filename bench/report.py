"""Results as rows with their goals: a table for people, JSON for programs.

`python -m bench.report [results.json]` prints kept results as Markdown; `--write` puts them into docs/performance.md.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from local.processes import ROOT

RESULTS = Path(__file__).parent / "results"
_BEGIN, _END = "<!-- generated from bench/results -->", "<!-- end of generated -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One goal with its verdict; `reached` is None where nothing is judged. `values` are for programs."""

    name: str
    what: str
    goal: str
    measured: str
    reached: bool | None
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of the values; at least one is needed."""
        return cls(median=statistics.median(values), least=min(values), most=max(values))

    def __str__(self) -> str:
        return f"{self:.1f}"

    def __format__(self, spec: str) -> str:
        """Format each of the three by `spec`; one value stands alone."""
        if not spec:
            return str(self)
        rest = f" ({self.least:{spec}} to {self.most:{spec}})" if self.least != self.most else ""
        return f"{self.median:{spec}}{rest}"


def print_table(console: Console, rows: Sequence[Row]) -> None:
    """Print each row with its goal and its verdict."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "What", "Goal", "Measured"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[row.reached]
        table.add_row(mark, row.what, row.goal, row.measured)
    console.print(table)


def write(rows: Sequence[Row], surroundings: dict[str, Any]) -> Path:
    """Write the results to a file named after the present time (UTC) and return the file."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y%m%d-%H%M%S}.json"
    content = {"measured_at": now.isoformat(timespec="seconds"), **surroundings, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def markdown(path: Path) -> str:
    """Return kept results as a table in Markdown, with a line on the machine above and one on the goals below."""
    run = json.loads(path.read_text(encoding="utf-8"))
    latency = f"{run['latency_milliseconds']:g} ms for every request to Graph"
    lines = [
        f"{run['measured_at'][:10]}, {run['cores']} cores for everything, {latency} (`bench/results/{path.name}`):",
        "",
        "| | what | goal | measured |",
        "|---|---|---|---|",
    ]
    for row in run["rows"]:
        mark = {True: "✓", False: "✗", None: ""}[row["reached"]]
        lines.append(f"| {mark} | {row['what']} | {row['goal']} | {row['measured']} |")
    judged = [row for row in run["rows"] if row["reached"] is not None]
    missed = [row["what"] for row in judged if not row["reached"]]
    lines += ["", f"{len(judged) - len(missed)} of {len(judged)} goals are reached.{_list_of(missed)}"]
    return "\n".join(lines)


def _list_of(missed: Sequence[str]) -> str:
    return f" Not reached: {'; '.join(missed)}." if missed else ""


def latest() -> Path:
    """Return the newest results. Raises FileNotFoundError where none are kept."""
    found = sorted(RESULTS.glob("*.json"))
    if not found:
        raise FileNotFoundError("there are no results yet: run `make bench`")
    return found[-1]


def main(page: Path, text: Callable[[Path], str], description: str | None) -> None:
    """Print what `text` makes of kept results, or put it between the two marks of `page`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("results", type=Path, nargs="?", help="kept results; the newest where left out")
    parser.add_argument("--write", action="store_true", help=f"write into docs/{page.name}")
    options = parser.parse_args()
    generated = text(options.results or latest())
    if not options.write:
        print(generated)
        return
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise LookupError(f"docs/{page.name} has no marks for generated text")
    page.write_text(f"{before}{begin}\n\n{generated}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(ROOT / "docs" / "performance.md", markdown, __doc__)
