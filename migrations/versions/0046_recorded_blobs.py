"""Let the app see which blobs a mail's records name: a linked mail is deleted only while they are there."""

from operations.schema.migrations import sql_files

revision, down_revision = "0046_recorded_blobs", "0045_lookups_and_lines"
upgrade, downgrade = sql_files(__file__)
