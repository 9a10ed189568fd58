"""Give dms_tenant its ingest_token: the column, and a token for every row from now on."""

from operations.schema.migrations import sql_files

revision, down_revision = "0001_tenant_token", None
upgrade, downgrade = sql_files(__file__)
