"""Let one of two mails with the same content that come at once be the first copy, and the other one its link."""

from operations.schema.migrations import sql_files

revision, down_revision = "0025_one_first_copy", "0024_reasons"
upgrade, downgrade = sql_files(__file__)
