"""Delete mails, rejections and claims that are kept no longer, for operators and on their record."""

from operations.schema.migrations import sql_files

revision, down_revision = "0029_retention", "0028_rejections"
upgrade, downgrade = sql_files(__file__, transactional=False)
