"""Output of commands: a table for people, JSON for scripts, CSV for spreadsheets.

None of them lets a stranger's text steer the terminal or a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ingest.errors import OperatorError

type Row = Mapping[str, object]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Print at most so many.")]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their full widths
_PIPE_WIDTH = 240  # columns, where there is no terminal to ask


class Form(Enum):
    """The form in which a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def form_of(*, as_json: bool, as_csv: bool) -> Form:
    """Return the form that the options choose. Raises OperatorError for both options at once."""
    if as_json and as_csv:
        raise OperatorError("Choose --json or --csv.")
    return Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text on stdout or stderr. Characters that steer a terminal or turn the direction are replaced.

    Every text of a command goes through here: a text may repeat a name or a subject that strangers wrote.
    """
    typer.echo("\n".join(map(shown, text.split("\n"))), err=err)


def print_rows(rows: Sequence[Row], form: Form, *, empty: str, limit: int | None = None) -> None:
    """Print rows of the same keys, or `empty` where there are none. A `limit` that was hit is named on stderr."""
    if form is Form.JSON:
        print_json([_plain(row) for row in rows])
    elif form is Form.CSV:
        typer.echo(csv_of(rows), nl=False)
    elif not rows:
        say(empty)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in rows[0]:
            table.add_column(heading.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row.values()))
        console().print(table)
    if limit is not None and len(rows) >= limit:
        say(f"Only the first {limit} are shown: there may be more (--limit).", err=True)


def csv_of(rows: Sequence[Row]) -> str:
    """Return rows of the same keys as CSV with a line of headings (RFC 4180); empty without rows.

    A text that a spreadsheet would run as a formula gets an apostrophe in front:
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow(rows[0])
    writer.writerows([_csv_value(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _csv_value(value: object) -> object:
    plain = _json_value(value)
    match plain:
        case None | bool() | int() | float():
            return plain
        case str():
            return shown(f"'{plain}" if plain.startswith(_FORMULA) else plain)
        case _:
            return shown(json.dumps(plain, ensure_ascii=False))


def print_record(record: Row, *, as_json: bool) -> None:
    """Print one thing, a line for each of its fields."""
    if as_json:
        print_json(_plain(record))
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        say(f"{name.replace('_', ' '):<{width}}  {_cell(value)}".rstrip())


def print_json_record(record: Row) -> None:
    """Print one thing with rows inside as JSON."""
    print_json(_plain(record))


def print_json(value: object) -> None:
    """Print JSON without control or bidirectional characters in its strings: each is an escape, as JSON allows."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # json.dumps escapes what is below a space and leaves the rest; its own line breaks are the only ones here.
    typer.echo(
        "".join(character if character.isprintable() or character == "\n" else _escape(character) for character in text)
    )


def shown(value: str) -> str:
    """Return a stranger's text without characters that steer a terminal or turn the reading direction."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in value)


def progress() -> Progress:
    """Return a bar on stderr: the work, how many of how many, and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(stderr=True))


def console(*, stderr: bool = False) -> Console:
    """Return the terminal, or a pipe that takes long lines."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False)


def _plain(row: Row) -> dict[str, object]:
    return {name: _json_value(value) for name, value in row.items()}


def _json_value(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_json_value(item) for item in value]
        case dict():
            return {str(name): _json_value(item) for name, item in value.items()}
        case _:
            return str(value)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case list() | tuple():
            return ", ".join(_cell(item) for item in value)
        case _:
            return shown(str(value))


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1]
