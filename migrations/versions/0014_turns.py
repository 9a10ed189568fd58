"""Count each tenant's mails of the hour, and keep what waits for its turn beyond a budget."""

from operations.schema.migrations import sql_files

revision, down_revision = "0014_turns", "0013_old_addresses"
upgrade, downgrade = sql_files(__file__)
