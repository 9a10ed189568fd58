"""A DMS in small, before it moves over: each tenant has a mail account of its own."""

from django.db import models


class Tenant(models.Model):
    """A customer."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)


class EmailConfig(models.Model):
    """The mail account that `poll_email_inbox` polls for a tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    host = models.CharField(max_length=200)
    username = models.CharField(max_length=200)
    password = models.CharField(max_length=200)


class MailRule(models.Model):
    """A rule that points at an account: such keys must go before the accounts can go."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    config = models.ForeignKey(EmailConfig, null=True, on_delete=models.SET_NULL)
    keyword = models.CharField(max_length=100)
