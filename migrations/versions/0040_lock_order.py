"""Take locks in one order, and let no mail wait for a sender that is let in at the same moment."""

from operations.schema.migrations import sql_files

revision, down_revision = "0040_lock_order", "0039_mails_that_come_back"
upgrade, downgrade = sql_files(__file__)
