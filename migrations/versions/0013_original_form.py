"""Record the form in which each mail's original is kept: MIME, or Graph's message where Exchange gives no MIME."""

from operations.migrations import sql_files

revision, down_revision = "0013_original_form", "0012_operators"
upgrade, downgrade = sql_files(__file__)
