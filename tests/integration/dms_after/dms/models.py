"""The DMS after the switch, with what docs/examples holds: the test copies it beside this file."""

import os
import uuid

from django.db import models

from dms.example_documents import IngestDocument
from dms.example_tenant import Tenant as WithUploadAddress

__all__ = ["IngestDocument", "MailRule", "Tenant"]
BY_UUID = os.environ["DMS_ID"] == "uuid"


class Tenant(WithUploadAddress):
    if BY_UUID:
        id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    is_active = models.BooleanField(default=True)
    settings = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)


class MailRule(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    keyword = models.CharField(max_length=100)
