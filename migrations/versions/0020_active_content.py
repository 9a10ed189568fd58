"""Record the active content of parts and documents, so that the DMS can decide on them."""

from operations.schema.migrations import sql_files

revision, down_revision = "0020_active_content", "0019_authentication"
upgrade, downgrade = sql_files(__file__)
