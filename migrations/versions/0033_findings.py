"""Keep what the daily examination found, for the overview."""

from operations.schema.migrations import sql_files

revision, down_revision = "0033_findings", "0032_answers"
upgrade, downgrade = sql_files(__file__)
