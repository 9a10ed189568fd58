"""Let redirected mail find its tenant by an old address, once an operator has confirmed the address."""

from operations.schema.migrations import sql_files

revision, down_revision = "0013_old_addresses", "0012_operators"
upgrade, downgrade = sql_files(__file__)
