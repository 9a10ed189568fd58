"""Let retention leave the copy of a mail that is in work, and refuse a mail that comes back while its copy goes."""

from operations.schema.migrations import sql_files

revision, down_revision = "0039_mails_that_come_back", "0038_sender_admission"
upgrade, downgrade = sql_files(__file__)
