"""Let the sender of a released mail in after the mail was seen in the inbox, and not with the claim."""

from operations.schema.migrations import sql_files

revision, down_revision = "0038_sender_admission", "0037_ending_copies"
upgrade, downgrade = sql_files(__file__)
