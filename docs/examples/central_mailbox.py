"""The Django migration that brings Django's state in line with `python -m ingest migrate`. The database stays as it is.

Copy the file into dms/migrations/ as the next number, name your last migration, and run `manage.py migrate` after
`python -m ingest migrate`. Afterwards `manage.py makemigrations --check` has nothing to say.
"""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Cast, Replace


class Migration(migrations.Migration):
    """Django's state of dms_tenant.ingest_token, dms_emailconfig and ingest.document."""

    dependencies = [("dms", "0041_your_last_migration")]  # noqa: RUF012 - as Django writes it
    operations = [  # noqa: RUF012 - likewise
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    "tenant",
                    "ingest_token",
                    models.TextField(
                        db_default=Replace(Cast(RandomUUID(), models.TextField()), Value("-"), Value("")),
                        editable=False,
                    ),
                ),
                migrations.DeleteModel("EmailConfig"),
                migrations.CreateModel(
                    "IngestDocument",
                    fields=[
                        ("id", models.UUIDField(primary_key=True, serialize=False)),
                        ("message_id", models.BigIntegerField()),
                        ("name", models.TextField()),
                        ("content_type", models.TextField(null=True)),
                        ("size", models.BigIntegerField()),
                        ("sha256", models.CharField(max_length=64)),
                        ("container", models.TextField()),
                        ("blob_name", models.TextField()),
                        ("created_at", models.DateTimeField()),
                        ("number", models.BigIntegerField()),
                        ("subject", models.TextField()),
                        ("sender", models.TextField()),
                        ("internet_message_id", models.TextField(null=True)),
                        ("received_at", models.DateTimeField()),
                        ("encrypted", models.BooleanField()),
                        ("malware_verdict", models.TextField()),
                        ("related_id", models.UUIDField(null=True)),
                        ("duplicate_of", models.UUIDField(null=True)),
                        ("invoice_kind", models.TextField(null=True)),
                        ("invoice_profile", models.TextField(null=True)),
                        ("invoice_number", models.TextField(null=True)),
                        ("invoice_issue_date", models.DateField(null=True)),
                        ("invoice_seller", models.TextField(null=True)),
                        ("invoice_total", models.DecimalField(null=True, max_digits=20, decimal_places=4)),
                        ("invoice_currency", models.TextField(null=True)),
                        ("invoice_problem", models.TextField(null=True)),
                        ("purpose", models.TextField(null=True)),
                    ],
                    options={"db_table": 'ingest"."delivered', "managed": False},
                ),
            ],
        ),
    ]
