"""Look tokens and copies up by kept plans, limit the answers of a tenant, and the turns of a domain."""

from operations.schema.migrations import sql_files

revision, down_revision = "0045_lookups_and_lines", "0044_former_originals"
upgrade, downgrade = sql_files(__file__)
