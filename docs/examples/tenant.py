"""The new field of the DMS's `Tenant`: the token in the upload address. The database fills it for every writer."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Value
from django.db.models.functions import Cast, Replace


class Tenant(models.Model):
    """The DMS's own model; all else in it stays as it is."""

    # The same default as in the database. Not editable: forms and the admin are not to write it back.
    ingest_token = models.TextField(
        db_default=Replace(Cast(RandomUUID(), models.TextField()), Value("-"), Value("")), editable=False
    )

    class Meta:
        abstract = True  # only here, so that the example can be run as it stands

    @property
    def upload_address(self) -> str:
        """Return the address for this tenant's documents."""
        return f"upload.{self.ingest_token}@dms.cloud"
