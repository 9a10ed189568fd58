"""Keep a verdict on malware for each blob, and keep a withheld document from the DMS."""

from operations.schema.migrations import sql_files

revision, down_revision = "0027_scans", "0026_passed_over"
upgrade, downgrade = sql_files(__file__)
