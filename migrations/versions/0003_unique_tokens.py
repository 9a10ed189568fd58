"""Let no two tenants have the same token; the index is built beside the DMS's writes."""

from operations.schema.migrations import sql_files

revision, down_revision = "0003_unique_tokens", "0002_fill_tokens"
upgrade, downgrade = sql_files(__file__, transactional=False)
