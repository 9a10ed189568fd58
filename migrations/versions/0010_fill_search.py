"""Give the mails of before their words, and the search its indexes, beside the app's writes."""

from operations.schema.migrations import sql_files

revision, down_revision = "0010_fill_search", "0009_search"
upgrade, downgrade = sql_files(__file__, transactional=False)
