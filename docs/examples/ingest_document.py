"""The documents that the mail entrance has stored, as a Django model of the DMS. Copy it; change nothing in it.

Django never creates or alters the table (`managed = False`), and can only read it: the DMS's login is a member of
`ingest_reader`. What these columns mean, and that they stay, is told in docs/dms-integration.md.
"""

from __future__ import annotations

from django.db import models


class IngestDocument(models.Model):
    """One document of one mail, in one tenant's storage."""

    id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("dms.Tenant", on_delete=models.DO_NOTHING, related_name="ingest_documents")
    message_id = models.BigIntegerField()
    name = models.TextField()  # as the sender wrote it: a stranger's text, to be escaped wherever it is shown
    content_type = models.TextField(null=True)
    size = models.BigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)  # hex
    container = models.TextField()
    blob_name = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        app_label = "dms"
        db_table = 'ingest"."document'  # Django has no other way to name a schema
