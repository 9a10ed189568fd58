"""The tables of Application Insights: queries bound to them by Microsoft's parser, and run on rows by DuckDB.

tests/kusto/tables.json has the columns of https://learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics
and …/apprequests.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb_kql

from local import node

_BINDER = Path(__file__).parents[1] / "kusto"
TABLES: Mapping[str, Mapping[str, str]] = json.loads((_BINDER / "tables.json").read_text("utf-8"))
# https://learn.microsoft.com/kusto/query/scalar-data-types
_SQL = {
    "string": "varchar",
    "real": "double",
    "int": "integer",
    "bool": "boolean",
    "dynamic": "json",
    "datetime": "timestamptz",
}

type Row = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One query as Microsoft's parser reads it: what is wrong, and the columns of the result as `name: type`."""

    wrong: Sequence[str]
    columns: Sequence[str]


def bind(queries: Sequence[str]) -> list[Bound]:
    """Parse the queries and look up each column, function and operator. Installs the parser on first use."""
    node.install(_BINDER, "Kusto")
    tables = {name: f"({', '.join(f'{column}: {kind}' for column, kind in of.items())})" for name, of in TABLES.items()}
    run = subprocess.run(  # noqa: S603 - our own program
        [node.NODE, _BINDER / "bind.js"],
        input=json.dumps({"tables": tables, "queries": queries}),
        capture_output=True,
        text=True,
        check=True,
    )
    return [Bound(**one) for one in json.loads(run.stdout)]


class Workspace:
    """The tables with rows: a database in memory."""

    def __init__(self) -> None:
        self._connection = duckdb_kql.connect()
        for name, columns in TABLES.items():
            fields = ", ".join(f'"{column}" {_SQL[kind]}' for column, kind in columns.items())
            self._connection.execute(f'create table "{name}" ({fields})')

    def fill(self, table: str, rows: Iterable[Row]) -> None:
        """Replace the rows of a table. A column that a row does not name is null."""
        self._connection.execute(f'delete from "{table}"')
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            values = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
            marks = ", ".join("?" * len(values))
            self._connection.execute(f'insert into "{table}" ({names}) values ({marks})', values)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of the answer."""
        return duckdb_kql.query(self._connection, query).fetchall()

    def close(self) -> None:
        """Forget the rows."""
        self._connection.close()
