"""Fill ingest_token for the rows that were there, in small batches, and let it be null no more."""

from operations.schema.migrations import sql_files

revision, down_revision = "0002_fill_tokens", "0001_tenant_token"
upgrade, downgrade = sql_files(__file__, transactional=False)
