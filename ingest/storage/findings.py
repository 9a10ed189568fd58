"""The findings of the daily examination, for the overview of operators. The app adds rows and reads none."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.storage.database import Database


class Findings:
    """The findings in one database. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    NOTE = """
    insert into ingest.finding (check_name, status) select * from unnest(%(checks)s::text[], %(statuses)s::text[])
    """

    def note(self, statuses: Mapping[str, str]) -> None:
        """Record one examination: the state of each check by the check's name."""
        self._database.none(
            "note_findings", self.NOTE, checks=list(statuses), statuses=[str(status) for status in statuses.values()]
        )
