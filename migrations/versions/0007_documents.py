"""Keep of every part what it is, where it came from and which rule decided; of e-invoices, what they say."""

from operations.schema.migrations import sql_files

revision, down_revision = "0007_documents", "0006_fill_token_history"
upgrade, downgrade = sql_files(__file__)
