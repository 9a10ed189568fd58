"""Lists of allowed senders, the waiting room, and upload addresses with a purpose."""

from operations.schema.migrations import sql_files

revision, down_revision = "0030_senders", "0029_retention"
upgrade, downgrade = sql_files(__file__)
