"""Let a release of a document lift the reasons of the scan alone."""

from operations.schema.migrations import sql_files

revision, down_revision = "0034_release", "0033_findings"
upgrade, downgrade = sql_files(__file__)
