"""Documents that are put on record anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ingest.filing import FilingOptions
from ingest.model.message import OriginalForm
from operations.audit import Account
from operations.derivation import Comparison, Copy, Derivation
from tests.fakes import values
from tests.integration.databases import Database, Server
from tests.integration.test_isolation import document, seed, store_of

pytestmark = pytest.mark.shares("postgres")


def no_container(name: str) -> Any:  # noqa: ANN401 - never made
    raise AssertionError(name)


def test_a_malicious_document_that_is_put_on_record_anew_is_withheld_with_the_scanner_off(
    server: Server, database: Database
) -> None:
    with store_of(database) as store:
        mail = seed(database, store, "mail")
    bad, good = document(mail.tenant, "bad"), replace(document(mail.tenant, "good"), position=2)
    with server.admin(database) as admin:
        admin.execute(
            "insert into ingest.scan (blob_name, container, tenant_id, verdict)"
            " values (%s, 'documents', %s, 'malicious')",
            [f"{mail.tenant.id}/bad", mail.tenant.id],
        )
    copy = Copy(
        id=mail.message,
        number=mail.claim.id,
        tenant_id=mail.tenant.id,
        mailbox=values.MAILBOX,
        message_id="AAk-mail",
        received_at=values.NOON,
        container="documents",
        blob_name=f"{mail.tenant.id}/mail",
        size=1,
        sha256="mail",
        original=OriginalForm.MIME,
    )
    derivation = Derivation(database.owner_url, container=no_container, options=FilingOptions(), number=None)
    derivation.replace(Comparison(copy=copy, derived=[bad, good]), Account(why="new rules", remark="anna"))
    with server.admin(database) as admin:
        withheld = admin.execute(
            "select name, reason from ingest.withheld join ingest.document on document.id = document_id"
        ).fetchall()
    assert withheld == [("bad.pdf", "malicious")]
