"""Limit answers by the senders' domain and in all, and give turns within a tenant by sender."""

from operations.schema.migrations import sql_files

revision, down_revision = "0041_limits", "0040_lock_order"
upgrade, downgrade = sql_files(__file__)
