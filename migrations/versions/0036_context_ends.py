"""End the tenant's context that a recorded verdict opens."""

from operations.schema.migrations import sql_files

revision, down_revision = "0036_context_ends", "0035_origin"
upgrade, downgrade = sql_files(__file__)
