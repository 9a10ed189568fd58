"""Index the mails that wait for an approval."""

from operations.schema.migrations import sql_files

revision, down_revision = "0031_held_index", "0030_senders"
upgrade, downgrade = sql_files(__file__, transactional=False)
