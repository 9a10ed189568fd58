"""The DMS before the switch at work: `migrate` and fill its database, or `insert` one tenant by the old code."""

import sys

import django
from django.core.management import call_command

django.setup()

from dms.models import EmailConfig, MailRule, Tenant  # noqa: E402 - only after setup

match sys.argv[1]:
    case "migrate":
        call_command("makemigrations", "dms", verbosity=0)
        call_command("migrate", verbosity=0)
        tenants = Tenant.objects.bulk_create(
            Tenant(name=f"Tenant {n}", slug=f"tenant-{n}", is_active=n % 10 != 0) for n in range(1, 1001)
        )
        accounts = EmailConfig.objects.bulk_create(
            EmailConfig(tenant=one, host="imap.example", username=one.slug, password="secret") for one in tenants[:300]
        )
        MailRule.objects.create(tenant=tenants[0], config=accounts[0], keyword="invoice")
    case "insert":
        Tenant.objects.create(name="By old code", slug="old-code")
        old = Tenant.objects.get(slug="tenant-1")
        old.name = "Renamed by old code"
        old.save()
