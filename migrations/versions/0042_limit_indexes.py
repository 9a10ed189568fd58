"""Index answers by domain and by time, for the limits of a day."""

from operations.schema.migrations import sql_files

revision, down_revision = "0042_limit_indexes", "0041_limits"
upgrade, downgrade = sql_files(__file__, transactional=False)
