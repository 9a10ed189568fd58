"""What was measured, as rows with their goals: a table for people, JSON for programs."""

import json
import statistics
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
    """One goal. `values` are the figures behind `measured`, for other programs; `reached` None: nothing to reach."""

    what: str
    goal: str
    measured: str
    reached: bool | None
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some rounds, and how far they lie apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value at least."""
        return cls(median=statistics.median(values), least=min(values), most=max(values))

    def __str__(self) -> str:
        return f"{self:.1f}"

    def __format__(self, spec: str) -> str:
        """Each of the three as `spec` says; of one value that alone."""
        if not spec:
            return str(self)
        rest = f" ({self.least:{spec}} to {self.most:{spec}})" if self.least != self.most else ""
        return f"{self.median:{spec}}{rest}"


def print_table(console: Console, rows: Sequence[Row]) -> None:
    """Every row with its goal and whether it was reached."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "What", "Goal", "Measured"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[row.reached]
        table.add_row(mark, row.what, row.goal, row.measured)
    console.print(table)


def write(rows: Sequence[Row], surroundings: dict[str, Any]) -> Path:
    """Keep the results under the moment in which they came to be; the file."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y%m%d-%H%M%S}.json"
    content = {"measured_at": now.isoformat(timespec="seconds"), **surroundings, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def latest() -> Path:
    """The newest results. Raises FileNotFoundError where nothing was ever measured."""
    found = sorted(RESULTS.glob("*.json"))
    if not found:
        raise FileNotFoundError("there are no results yet: run `make bench`")
    return found[-1]
