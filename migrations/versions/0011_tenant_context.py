"""Grant a tenant's context against proof only; narrow what the app's login may read, write and claim."""

from operations.schema.migrations import sql_files

revision, down_revision = "0011_tenant_context", "0010_fill_search"
upgrade, downgrade = sql_files(__file__)
