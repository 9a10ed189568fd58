"""Answer the budget of a tenant only with a token or an old address that leads to the tenant."""

from operations.schema.migrations import sql_files

revision, down_revision = "0023_routes", "0022_proof_of_filing"
upgrade, downgrade = sql_files(__file__)
