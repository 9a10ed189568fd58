"""Let a mail that is on record as stored go to Quarantine, and look where an assigned mail lies."""

from operations.schema.migrations import sql_files

revision, down_revision = "0022_proof_of_filing", "0021_forget_all"
upgrade, downgrade = sql_files(__file__)
