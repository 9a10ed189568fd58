"""Withhold the document of a blob that was found malicious before, or while, its mail was recorded."""

from operations.schema.migrations import sql_files

revision, down_revision = "0043_early_verdicts", "0042_limit_indexes"
upgrade, downgrade = sql_files(__file__)
