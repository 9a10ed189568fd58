"""Remember every token that was ever given, so that old ones route for a while and none comes back."""

from operations.schema.migrations import sql_files

revision, down_revision = "0005_token_history", "0004_ingest"
upgrade, downgrade = sql_files(__file__)
