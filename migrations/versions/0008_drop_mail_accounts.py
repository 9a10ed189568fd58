"""Keep the place of the drop of dms_emailconfig, which is a step of its own now."""

from operations.schema.migrations import sql_files

revision, down_revision = "0008_drop_mail_accounts", "0007_documents"
upgrade, downgrade = sql_files(__file__)
