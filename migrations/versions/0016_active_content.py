"""Record the active content of parts and documents, so that the DMS can decide on them."""

from operations.migrations import sql_files

revision, down_revision = "0016_active_content", "0015_original_form"
upgrade, downgrade = sql_files(__file__)
