"""The search over a real database: words, tenants, numbers, days and states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from ingest.codes import Reason
from ingest.model.claim import ClaimState
from ingest.model.invoice import Invoice, InvoiceKind
from ingest.storage.findings import Findings
from operations.mails.history import Histories
from operations.mails.search import Search
from operations.mails.tenant_history import tenant_history
from operations.status import read_status
from tests.fakes import values
from tests.integration.databases import Database
from tests.integration.stores import Store, add_tenant, blob, document, reject, save

pytestmark = pytest.mark.shares("postgres")


@pytest.fixture
def search(database: Database, store: Store) -> Search:
    """Of a database with two tenants, two copies, two mails in Quarantine, and a mail that waits."""
    save(store, add_tenant(database, "Tischlerei Südhang"), "alpha")
    nordlicht = add_tenant(database, "Nordlicht GmbH")
    save(store, nordlicht, "beta")
    reject(store, nordlicht, "gamma", Reason.TENANT_INACTIVE)
    reject(store, None, "delta", Reason.UNKNOWN_TOKEN)
    assert store.claims.claim(values.ref(message_id="AAk-waits"))
    return Search(database.operator_url)


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("", ["beta", "alpha", "gamma", "delta", None]),
        ("gam", ["gamma"]),
        ("unknown token", ["delta"]),
        ("quarantine", ["gamma", "delta"]),
        ("quarantine nordlicht", ["gamma"]),
        ("stored delta", []),
        ("alp", ["alpha"]),
        ("alpha beta", []),
        ("ALPHA.pdf", ["alpha"]),
        ("nordlicht", ["beta", "gamma"]),
        ("tischlerei beta", []),
        ("AAk-waits", [None]),
        ("vorgestern", []),
        ("xylophon", []),
    ],
)
def test_a_text_finds_the_mails_that_it_describes(search: Search, text: str, subjects: list[str | None]) -> None:
    assert {mail.subject for mail in search.find(text)} == set(subjects)


def test_a_mail_is_found_by_its_number_and_its_state(search: Search) -> None:
    (alpha,) = search.find("alpha")
    assert alpha.number in {mail.number for mail in search.find(str(alpha.number))}
    assert [mail.subject for mail in search.find("waiting")] == []
    assert alpha.documents == 1


def test_an_invoice_is_found_by_its_number_and_its_seller_and_a_mail_by_its_message_id(
    database: Database, store: Store
) -> None:
    tenant = add_tenant(database, "Nordlicht GmbH")
    invoice = Invoice(kind=InvoiceKind.UBL_INVOICE, number="RE-2026/1188", seller="Möbelhaus Süd AG")
    save(store, tenant, "other")
    with store.tenants.tenant_context(tenant):
        claim = store.claims.claim(values.ref(message_id="AAk-invoice"))
        assert claim is not None
        mail = replace(values.message(subject="paid", of=claim.ref), internet_message_id="<q7.1188@mail.sued.example>")
        part = replace(document(tenant, "paid"), invoice=invoice)
        store.copies.save(claim, mail, blob(tenant, "paid"), [part], last=True)
    search = Search(database.operator_url)
    for text in ("RE-2026/1188", "re-2026", "möbelhaus", "süd ag", "<q7.1188@mail.sued.example>", "q7.1188@mail"):
        assert [found.subject for found in search.find(text)] == ["paid"], text
    assert search.find("RE-2026/1189") == []


def test_a_mail_of_yesterday_is_found_by_its_day(database: Database, store: Store) -> None:
    tenant = add_tenant(database, "Nordlicht GmbH")
    now = datetime.now(UTC)
    for mark, age in (("now", 0), ("before", 1), ("earlier", 2)):
        claim = store.claims.claim(values.ref(message_id=f"AAk-{mark}"))
        assert claim is not None
        mail = replace(values.message(subject=mark, of=claim.ref), received_at=now - timedelta(days=age))
        mail = replace(mail, internet_message_id=f"<{mark}@supplier.example>")
        with store.tenants.tenant_context(tenant):
            store.copies.save(claim, mail, blob(tenant, mark), [document(tenant, mark)], last=True)
    day = (now - timedelta(days=1)).astimezone(ZoneInfo("Europe/Berlin"))
    search = Search(database.operator_url)
    for text in ("gestern", "yesterday supplier", f"{day:%Y-%m-%d}", f"{day:%d.%m.%Y} billing@supplier.example"):
        assert [found.subject for found in search.find(text)] == ["before"], text


def test_a_tenants_own_search_sees_no_other(search: Search) -> None:
    (alpha,) = search.find("alpha")
    assert [mail.subject for mail in search.find("", tenant=str(alpha.tenant_id))] == ["alpha"]
    assert search.find("beta", tenant=str(alpha.tenant_id)) == []


def test_a_tenants_own_history_has_its_stored_and_its_rejected_mails(database: Database, search: Search) -> None:
    (beta,) = search.find("beta")
    tenant = str(beta.tenant_id)
    found = tenant_history(database.operator_url, tenant, "", limit=10)
    assert {(mail.subject, mail.state, mail.reason, mail.documents) for mail in found} == {
        ("beta", "stored", None, 1),
        ("gamma", "quarantined", "tenant_inactive", 0),
    }
    assert [mail.subject for mail in tenant_history(database.operator_url, tenant, "gam", limit=10)] == ["gamma"]
    assert [mail.subject for mail in tenant_history(database.operator_url, tenant, "stored", limit=10)] == ["beta"]
    assert tenant_history(database.operator_url, tenant, "waiting", limit=10) == []
    assert len(tenant_history(database.operator_url, tenant, "", limit=1)) == 1


def test_the_dms_reads_the_same_history_and_no_mail_of_no_tenant(database: Database, search: Search) -> None:
    assert search.find("delta")
    with psycopg.connect(database.reader_url) as dms:
        rows = dms.execute("select subject, reason from ingest.mail_history order by subject").fetchall()
    assert rows == [("alpha", None), ("beta", None), ("gamma", "tenant_inactive")]


def test_the_page_of_a_rejected_mail_has_sender_subject_and_tenant(database: Database, search: Search) -> None:
    (gamma,) = search.find("gamma")
    mail = Histories(database.operator_url).mail(gamma.number)
    assert mail is not None
    (rejection,) = mail.rejections
    assert (rejection.subject, rejection.tenant, rejection.reason) == ("gamma", "Nordlicht GmbH", "tenant_inactive")
    assert mail.copies == []


def test_a_mail_that_left_quarantine_is_rejected_no_more(database: Database, store: Store, search: Search) -> None:
    (gamma,) = search.find("gamma")
    again = store.claims.claim(values.ref(message_id="AAk-gamma"))
    assert again is not None
    assert search.find("gamma") == []
    assert len(tenant_history(database.operator_url, str(gamma.tenant_id), "", limit=10)) == 1
    # For the same reason again: the rejection counts once more, and is there once.
    store.claims.end(again, ClaimState.QUARANTINED, reason=Reason.TENANT_INACTIVE)
    assert [mail.number for mail in search.find("gamma")] == [gamma.number]


def test_the_figures_count_what_is_there(database: Database, search: Search) -> None:
    assert search.find("alpha")
    status = read_status(database.operator_url)
    assert status.waiting == 3  # two stored and not yet deleted, one at work
    assert {volume.tenant for volume in status.tenants} == {"Tischlerei Südhang", "Nordlicht GmbH"}
    assert sum(volume.documents for volume in status.tenants) == 2
    assert len(status.hours) == 48


def test_the_last_examination_is_among_the_figures(database: Database, store: Store) -> None:
    assert read_status(database.operator_url).examination is None
    findings = Findings(store.pool)
    findings.note({"settings": "ok", "queue": "failed"})
    findings.note({"settings": "ok", "queue": "ok", "secret": "warning"})
    last = read_status(database.operator_url).examination
    assert last is not None
    assert (last.failed, last.warned) == ((), ("secret",))
