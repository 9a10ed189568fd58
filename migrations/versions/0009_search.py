"""Add the words of each mail, for the search."""

from operations.schema.migrations import sql_files

revision, down_revision = "0009_search", "0008_drop_mail_accounts"
upgrade, downgrade = sql_files(__file__)
