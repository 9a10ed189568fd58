"""Record the form in which each mail's original is kept: MIME, or Graph's message where Exchange gives no MIME."""

from operations.schema.migrations import sql_files

revision, down_revision = "0015_original_form", "0014_turns"
upgrade, downgrade = sql_files(__file__)
