"""Record the place that an operator acts from."""

from operations.schema.migrations import sql_files

revision, down_revision = "0035_origin", "0034_release"
upgrade, downgrade = sql_files(__file__)
