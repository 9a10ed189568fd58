"""Keep the answers to senders that are due, and the choice of each tenant."""

from operations.schema.migrations import sql_files

revision, down_revision = "0032_answers", "0031_held_index"
upgrade, downgrade = sql_files(__file__)
