"""The DMS before the switch: every tenant with mail accounts of its own."""

import os
import uuid

from django.db import models

BY_UUID = os.environ["DMS_ID"] == "uuid"


class Tenant(models.Model):
    if BY_UUID:
        id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    is_active = models.BooleanField(default=True)
    settings = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)


class EmailConfig(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    host = models.CharField(max_length=200)
    username = models.CharField(max_length=200)
    password = models.CharField(max_length=200)


class MailRule(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    config = models.ForeignKey(EmailConfig, null=True, on_delete=models.SET_NULL)
    keyword = models.CharField(max_length=100)
