"""Link a mail to the copy that its tenant has already; give the DMS one view with all that it may rely on."""

from operations.schema.migrations import sql_files

revision, down_revision = "0017_copies_across_mails", "0016_overruns"
upgrade, downgrade = sql_files(__file__)
