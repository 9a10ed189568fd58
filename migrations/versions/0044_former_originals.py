"""Withhold malicious content wherever a tenant has it, end claims of mailboxes that left the settings."""

from operations.schema.migrations import sql_files

revision, down_revision = "0044_former_originals", "0043_early_verdicts"
upgrade, downgrade = sql_files(__file__)
