"""The DMS after the switch at work: Django's state, its tenants, and the documents that the mail entrance stored."""

import io
import json
import sys

import django
from django.core.management import call_command
from django.db import DatabaseError, connection

django.setup()

from dms.example_history import mail_history  # noqa: E402 - only after setup
from dms.example_take_over import take_over  # noqa: E402 - likewise
from dms.example_waiting_room import decide, waiting  # noqa: E402 - likewise
from dms.models import IngestDocument, Tenant  # noqa: E402 - likewise

match sys.argv[1]:
    case "prepare":
        call_command("migrate", "dms", "0002", verbosity=0)
    case "decide":
        tenant = Tenant.objects.get(slug="old-code")
        other = Tenant.objects.get(slug="new-code")
        names = IngestDocument.objects.order_by("name").values_list("name", flat=True)
        before, found = list(names), waiting(tenant.id)
        try:
            decide(other.id, found[0]["message_id"], "approve", "user 18")
            refusal = ""
        except DatabaseError as error:
            refusal = str(error).partition("\n")[0]
        documents = decide(tenant.id, found[0]["message_id"], "approve_sender", "user 17")
        with connection.cursor() as cursor:
            cursor.execute("select entry from ingest.senders(%s, 10)", [tenant.id])
            entries = [row[0] for row in cursor.fetchall()]
        print(
            json.dumps(
                {
                    "before": before,
                    "waiting": [[one["sender"], one["held_reason"], one["sender_proven"]] for one in found],
                    "of_another_tenant": refusal,
                    "documents": documents,
                    "after": list(names.all()),
                    "still_waiting": waiting(tenant.id),
                    "list": entries,
                }
            )
        )
    case "switch":
        sql = io.StringIO()
        call_command("sqlmigrate", "dms", "0003", stdout=sql)
        call_command("migrate", verbosity=0)
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)  # exits with 1 where there is a change

        tokens = set(Tenant.objects.values_list("ingest_token", flat=True))
        created = Tenant.objects.create(name="By new code", slug="new-code")
        stale = Tenant.objects.get(slug="tenant-2")
        with connection.cursor() as cursor:
            cursor.execute("update dms_tenant set ingest_token = default where slug = 'tenant-2'")  # a rotation
        stale.name = "Saved with the token of before"
        stale.save()
        Tenant.objects.filter(slug="tenant-3").delete()
        mine: dict[str, str] = {}  # the DMS's own documents: id and content
        taken_over = take_over(
            lambda limit, without: list(IngestDocument.objects.exclude(id__in=[*mine, *without])[:limit]),
            lambda container, name: iter([f"{container}: ".encode(), name.encode()]),  # the blob
            lambda document, content: mine.update({str(document.id): content.read().decode()}),
        )
        print(
            json.dumps(
                {
                    "history": sorted(
                        (
                            [mail["subject"], mail["state"], mail["documents"], mail["reason_in_words"]]
                            for mail in mail_history(Tenant.objects.get(slug="old-code").id)
                        ),
                        key=lambda mail: mail[1] != "stored",
                    ),
                    "taken_over": [taken_over[0], taken_over[1], mine],
                    "sql": [line for line in sql.getvalue().splitlines() if not line.startswith("--")],
                    "tenants": Tenant.objects.count(),
                    "tokens": len(tokens),
                    "created": created.ingest_token,
                    "address": created.upload_address,
                    "rotation_stands": Tenant.objects.get(slug="tenant-2").ingest_token != stale.ingest_token,
                    "renamed": Tenant.objects.get(slug="tenant-2").name,
                    "documents": [
                        [one.tenant.slug, one.name, str(one.id), one.sha256, one.subject, one.duplicate_of]
                        for one in IngestDocument.objects.select_related("tenant")
                    ],
                }
            )
        )
