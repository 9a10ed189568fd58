"""Documents that are put on record anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ingest.errors import OperatorError
from ingest.filing import FilingOptions
from ingest.model.message import OriginalForm
from ingest.model.part import Part
from operations.audit import Account
from operations.blobs.derivation import Comparison, Copy, Derivation, RecordedPart
from tests.fakes import values
from tests.integration.databases import Database, Server
from tests.integration.sessions import sessions, settle, wait_for_lock
from tests.integration.stores import Seeded, document, seed, store_of

pytestmark = pytest.mark.shares("postgres")


def no_container(name: str) -> Any:  # noqa: ANN401 - never made
    raise AssertionError(name)


ACCOUNT = Account(why="new rules", remark="anna")


def compared(mail: Seeded, *derived: Part) -> Comparison:
    """Return a comparison of the mail with what is on record for it."""
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
    recorded = RecordedPart(
        position=1,
        disposition="document",
        reason="file",
        name="mail.pdf",
        sha256="mail",
        blob_name=f"{mail.tenant.id}/mail",
        document=mail.document,
    )
    return Comparison(copy=copy, recorded=[recorded], derived=derived, found=derived)


@pytest.fixture
def derivation(database: Database) -> Derivation:
    return Derivation(database.owner_url, container=no_container, options=FilingOptions(), number=None)


def test_a_role_that_sees_no_mail_compares_nothing_and_calls_nothing_well(
    database: Database, derivation: Derivation
) -> None:
    with store_of(database) as store:
        seed(database, store, "mail")
    for look in (derivation.count, lambda: list(derivation.comparisons())):
        with pytest.raises(OperatorError, match="grant ingest_operator"):
            look()


def test_a_malicious_document_that_is_put_on_record_anew_is_withheld_with_the_scanner_off(
    server: Server, database: Database, derivation: Derivation
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
    derivation.replace(compared(mail, bad, good), ACCOUNT)
    with server.admin(database) as admin:
        withheld = admin.execute(
            "select name, reason from ingest.withheld join ingest.document on document.id = document_id"
        ).fetchall()
    assert withheld == [("bad.pdf", "malicious")]


@pytest.mark.parametrize("change", ["add", "replace"])
def test_a_record_that_has_changed_since_it_was_compared_stays(
    server: Server, database: Database, derivation: Derivation, change: str
) -> None:
    with store_of(database) as store:
        mail = seed(database, store, "mail")
    stale = compared(mail, document(mail.tenant, "mail"), replace(document(mail.tenant, "good"), position=2))
    derivation.replace(stale, ACCOUNT)
    with server.admin(database) as admin:
        before = admin.execute("select id, name from ingest.document order by name").fetchall()
    with pytest.raises(OperatorError, match="has changed since"):
        getattr(derivation, change)(stale, ACCOUNT)
    with server.admin(database) as admin:
        assert admin.execute("select id, name from ingest.document order by name").fetchall() == before


def test_a_copy_that_retention_deletes_gets_no_document(
    server: Server, database: Database, derivation: Derivation
) -> None:
    with store_of(database) as store:
        mail = seed(database, store, "mail")
    with server.admin(database) as admin:
        admin.execute("update ingest.message set ending = true")
    with pytest.raises(OperatorError, match="has changed since"):
        derivation.add(compared(mail, document(mail.tenant, "good")), ACCOUNT)


def test_a_document_that_is_found_while_its_mail_is_approved_is_seen(
    server: Server, database: Database, derivation: Derivation
) -> None:
    with store_of(database) as store:
        mail = seed(database, store, "mail")
    with server.admin(database) as admin:
        admin.execute("update ingest.message set held_reason = 'sender_unknown'")
        admin.execute(
            "insert into ingest.withheld (document_id, tenant_id, reason) values (%s, %s, 'sender')",
            [mail.document, mail.tenant.id],
        )
    with sessions(database.operator_url, 1) as (user,), ThreadPoolExecutor(1) as operator:
        user.ask("select ingest.decide_held(%s, %s, 'approve', 'known', 'anna')", [mail.tenant.id, mail.message])
        settle(database, user)
        adds = operator.submit(derivation.add, compared(mail, document(mail.tenant, "good")), ACCOUNT)
        wait_for_lock(database, "test_owner", adds)
        user.commit()
        user.results()
        adds.result(120)
    with server.admin(database) as admin:
        assert admin.execute("select count(*) from ingest.withheld").fetchone() == (0,)
