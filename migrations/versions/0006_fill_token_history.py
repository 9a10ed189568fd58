"""Remember the tokens that were there before."""

from operations.schema.migrations import sql_files

revision, down_revision = "0006_fill_token_history", "0005_token_history"
upgrade, downgrade = sql_files(__file__, transactional=False)
