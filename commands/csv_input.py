"""CSV files that an operator hands to a command."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from ingest.errors import OperatorError


def read_csv(path: Path, *columns: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the number of each line behind the heading (RFC 4180), with the line's text in each of the columns.

    A field that a short line lacks is empty. Raises OperatorError where the heading lacks a column, and for a file that
    cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not set(columns) <= set(rows.fieldnames or ()):
                raise OperatorError(f"{path} needs the column {' and the column '.join(columns)} in its first line.")
            for row in rows:
                yield rows.line_num, {column: row[column] or "" for column in columns}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{path} can't be read: {type(error).__name__}.") from None
