"""Mark the copies that retention is about to delete: no mail is linked to a marked copy."""

from operations.schema.migrations import sql_files

revision, down_revision = "0037_ending_copies", "0036_context_ends"
upgrade, downgrade = sql_files(__file__)
