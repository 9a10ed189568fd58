"""Refuse an entry without a reason on the record of operator actions."""

from operations.schema.migrations import sql_files

revision, down_revision = "0024_reasons", "0023_routes"
upgrade, downgrade = sql_files(__file__)
