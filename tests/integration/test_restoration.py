"""Lost blobs that are stored again, and the records that name them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from ingest.filing import FilingOptions
from ingest.model.blob import StoredBlob
from ingest.model.message import Scope
from ingest.storage.copies import Copies
from operations.audit import Account
from operations.blobs.restoration import Restoration
from operations.blobs.verification import CheckedBlob, Damage, RecordedBlob
from tests.fakes import values
from tests.fakes.blobs import FakeBlobs
from tests.fakes.mail import FakeMail, email
from tests.integration.databases import OWNER, Database, Server
from tests.integration.stores import VERDICT, add_tenant, document, store_of

pytestmark = pytest.mark.shares("postgres")


def test_a_verdict_on_the_new_bytes_of_an_original_that_comes_before_their_record_withholds_the_document(
    server: Server, database: Database
) -> None:
    mail, blobs = FakeMail(), FakeBlobs()
    ref = mail.deliver(email(attachments={}))
    with mail.original(ref, Scope.MAILBOX) as blocks:
        sha256 = hashlib.sha256(b"".join(blocks)).hexdigest()
    tenant = add_tenant(database, "one")
    lost = StoredBlob(container="documents", name=f"{tenant.id}/key/lost/original.eml", size=1, sha256="lost")
    with store_of(database) as store:
        claim = store.claims.claim(ref)
        assert claim is not None
        part = replace(document(tenant, "lost"), blob=lost)
        with store.tenants.tenant_context(tenant):
            Copies(store.pool, store.tenants, scanned=True).save(claim, values.message(of=ref), lost, [part], last=True)
    new = f"{tenant.id}/key/{sha256}/original.eml"
    with database.app() as scanner:
        scanner.execute(VERDICT.encode(), [new])

    container: Any = blobs
    restoration = Restoration(database.owner_url, mail=mail, container=lambda _name: container, options=FilingOptions())
    recorded = RecordedBlob(number=claim.id, container="documents", name=lost.name, size=1, sha256="lost")
    missing = CheckedBlob(blob=recorded, damage=Damage.MISSING)
    with server.membership("ingest_operator", OWNER):
        (restored,) = restoration.restore(iter([missing]), Account(why="loss"))

    assert (restored.stored, restored.missing, restored.other_bytes) == ([new], [], True)
    with psycopg.connect(database.reader_url) as dms:
        assert dms.execute("select count(*) from ingest.document").fetchone() == (0,)
    with server.admin(database) as admin:
        assert admin.execute("select reason from ingest.withheld").fetchall() == [("malicious",)]
        assert admin.execute("select blob_name from ingest.scan_due").fetchall() == [(new,)]
