"""Add the operators' role, its functions, and the append-only record of every operator action."""

from operations.schema.migrations import sql_files

revision, down_revision = "0012_operators", "0011_tenant_context"
upgrade, downgrade = sql_files(__file__)
