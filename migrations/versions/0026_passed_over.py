"""Remember the addressed tenants that got no copy of a mail, for operators."""

from operations.schema.migrations import sql_files

revision, down_revision = "0026_passed_over", "0025_one_first_copy"
upgrade, downgrade = sql_files(__file__)
