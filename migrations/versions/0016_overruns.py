"""Count the tries that took the whole time of a message."""

from operations.schema.migrations import sql_files

revision, down_revision = "0016_overruns", "0015_original_form"
upgrade, downgrade = sql_files(__file__)
