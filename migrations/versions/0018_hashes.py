"""Index the hashes of mails and documents, by tenant: copies across mails are looked up by them."""

from operations.schema.migrations import sql_files

revision, down_revision = "0018_hashes", "0017_copies_across_mails"
upgrade, downgrade = sql_files(__file__, transactional=False)
