"""Keep what the receiving service found out about a mail's sender."""

from operations.schema.migrations import sql_files

revision, down_revision = "0019_authentication", "0018_hashes"
upgrade, downgrade = sql_files(__file__)
