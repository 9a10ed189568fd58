"""Results as rows with their goals: a table for people, JSON for programs.

`python -m bench.report [results.json]` prints kept results as the table of docs/performance.md.
"""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


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
    """Return kept results as a table in Markdown, with a line on the machine above."""
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
    return "\n".join(lines)


def latest() -> Path:
    """Return the newest results. Raises FileNotFoundError where none are kept."""
    found = sorted(RESULTS.glob("*.json"))
    if not found:
        raise FileNotFoundError("there are no results yet: run `make bench`")
    return found[-1]


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1]) if len(sys.argv) > 1 else latest()))
