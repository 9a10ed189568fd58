"""Keep sender, subject and reason of mails that go to Quarantine, and show a tenant its mails, rejected ones too."""

from operations.schema.migrations import sql_files

revision, down_revision = "0028_rejections", "0027_scans"
upgrade, downgrade = sql_files(__file__)
