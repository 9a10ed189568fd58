"""Add what the app keeps: claims and, per tenant, messages, parts and documents; roles and row-level security."""

from operations.schema.migrations import sql_files

revision, down_revision = "0004_ingest", "0003_unique_tokens"
upgrade, downgrade = sql_files(__file__)
