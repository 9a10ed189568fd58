"""Forget a tenant's old addresses, budget and turns with its mails."""

from operations.schema.migrations import sql_files

revision, down_revision = "0021_forget_all", "0020_active_content"
upgrade, downgrade = sql_files(__file__)
