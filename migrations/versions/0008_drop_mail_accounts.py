"""Drop dms_emailconfig: the central mailbox has taken over from the tenants' own mail accounts."""

from operations.migrations import sql_files

revision, down_revision = "0008_drop_mail_accounts", "0007_documents"
upgrade, downgrade = sql_files(__file__)
