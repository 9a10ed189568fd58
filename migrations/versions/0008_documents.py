"""Keep of every part what it is, where it came from and which rule decided; of e-invoices, what they say."""

from ingest.migrations import sql_files

revision, down_revision = "0008_documents", "0007_drop_mail_accounts"
upgrade, downgrade = sql_files(__file__)
