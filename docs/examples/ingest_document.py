"""The documents that the mail entrance has stored, as a Django model of the DMS. Copy the file unchanged.

Django never creates or alters the table (`managed = False`) and can only read it: the DMS's login is a member of
`ingest_reader`. docs/dms-integration.md has the meaning of the columns and the promise that they stay.
"""

from __future__ import annotations

from django.db import models


class IngestDocument(models.Model):
    """One document of one mail, in one tenant's storage."""

    id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("dms.Tenant", on_delete=models.DO_NOTHING, related_name="ingest_documents")
    message_id = models.BigIntegerField()
    name = models.TextField()  # a stranger's text: escape it wherever it is shown
    content_type = models.TextField(null=True)
    size = models.BigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)  # hex
    container = models.TextField()
    blob_name = models.TextField()
    created_at = models.DateTimeField()
    number = models.BigIntegerField()  # of the mail, in every tool
    subject = models.TextField()  # a stranger's text, as are sender and name
    sender = models.TextField()
    internet_message_id = models.TextField(null=True)
    received_at = models.DateTimeField()
    encrypted = models.BooleanField()
    malware_verdict = models.TextField()  # not_scanned, clean, malicious, failed
    related_id = models.UUIDField(null=True)  # of a PDF: the XML of the invoice that it shows
    duplicate_of = models.UUIDField(null=True)  # the tenant's first document with the same content
    invoice_kind = models.TextField(null=True)  # null: no e-invoice
    invoice_profile = models.TextField(null=True)
    invoice_number = models.TextField(null=True)
    invoice_issue_date = models.DateField(null=True)
    invoice_seller = models.TextField(null=True)
    invoice_total = models.DecimalField(null=True, max_digits=20, decimal_places=4)  # with VAT
    invoice_currency = models.TextField(null=True)
    invoice_problem = models.TextField(null=True)
    purpose = models.TextField(null=True)  # of the upload address, such as "outgoing"

    class Meta:
        managed = False
        app_label = "dms"
        db_table = 'ingest"."delivered'  # Django has no other way to name a schema
