"""The app's adapters on the database of a test, and the tenants and mails that they store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from uuid import UUID

import psycopg

from ingest.codes import Disposition, HeldReason, Reason, Rule
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import Authentication
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from ingest.storage.claims import Claims
from ingest.storage.copies import Copies
from ingest.storage.database import Database as Pool
from ingest.storage.rejections import Rejections
from ingest.storage.tenants import Tenants
from local.stack import Stack
from operations.audit import Account
from operations.tenants.senders import SenderMode, Senders
from tests.fakes import values
from tests.integration.databases import Database

TENANT_TABLES = ("message", "part", "document")
ANNA = Account(why="new supplier", remark="anna")
BILLING = "billing@supplier.example"
# A verdict of malicious on the blob with this name.
VERDICT = "select ingest.record_scan('documents', %s, 'malicious', 'defender', '{}', null, now(), true)"
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A tenant with a message, its part and its document; `mark` is in all of its texts."""

    tenant: Tenant
    mark: str
    claim: Claim
    message: int
    part: int
    document: UUID
    token: str


class Store:
    """The adapters that a mail passes through, on one pool."""

    def __init__(self, database_url: str) -> None:
        self.pool = Pool(database_url)
        self.claims = Claims(self.pool, lease_seconds=600, retry_seconds=300)
        self.tenants = Tenants(self.pool)
        self.copies = Copies(self.pool, self.tenants)
        self.rejections = Rejections(self.pool, self.tenants)


@contextmanager
def store_of(database: Database) -> Iterator[Store]:
    store = Store(database.app_url)
    try:
        yield store
    finally:
        store.pool.close()


def add_tenant(database: Database, name: str) -> Tenant:
    (row,) = database.rows("insert into dms_tenant (name) values (%(name)s) returning id, ingest_token", name=name)
    return Tenant(id=row["id"], proof=row["ingest_token"])


def blob(tenant: Tenant, mark: str) -> StoredBlob:
    return StoredBlob(container="documents", name=f"{tenant.id}/{mark}", size=1, sha256=mark)


def document(tenant: Tenant, mark: str) -> Part:
    return Part(
        position=1,
        name=f"{mark}.pdf",
        declared_type="application/pdf",
        disposition=Disposition.DOCUMENT,
        rule=Rule.FILE,
        size=1,
        sha256=mark,
        blob=blob(tenant, mark),
    )


def save(store: Store, tenant: Tenant, mark: str, part: Part | None = None) -> Claim:
    claim = store.claims.claim(values.ref(message_id=f"AAk-{mark}"))
    assert isinstance(claim, Claim)
    with store.tenants.tenant_context(tenant):
        store.copies.save(
            claim,
            values.message(subject=mark, of=claim.ref),
            blob(tenant, mark),
            [part or document(tenant, mark)],
            last=True,
        )
    return claim


def reject(store: Store, tenant: Tenant | None, mark: str, reason: Reason) -> Claim:
    """Quarantine a mail as the app does."""
    claim = store.claims.claim(values.ref(message_id=f"AAk-{mark}"))
    assert claim is not None
    message = values.message(subject=mark, of=claim.ref)
    if tenant is None:
        store.rejections.reject_unattributed(claim, reason, message)
    else:
        with store.tenants.tenant_context(tenant):
            store.rejections.reject(claim, reason, message)
    store.claims.end(claim, ClaimState.QUARANTINED, reason=reason)
    return claim


def seed(database: Database, store: Store, mark: str) -> Seeded:
    tenant = add_tenant(database, mark)
    claim = save(store, tenant, mark)
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [tenant.id])
        ids = owner.execute(
            "select message.id, part.id, document.id from ingest.message"
            " join ingest.part on part.message_id = message.id join ingest.document on part_id = part.id"
        ).fetchone()
    assert ids is not None
    return Seeded(
        tenant=tenant,
        mark=mark,
        claim=claim,
        message=ids[0],
        part=ids[1],
        document=ids[2],
        token=database.value("select ingest_token from dms_tenant where id = %(id)s", id=tenant.id),
    )


def enter(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute(Tenants.ENTER, {"claim": 0, "tenant": tenant.id, "proof": tenant.proof})


@contextmanager
def as_tenant(database: Database, tenant: Tenant) -> Iterator[psycopg.Connection]:
    """One transaction of the app for a tenant, rolled back."""
    with psycopg.connect(database.app_url) as connection:
        enter(connection, tenant)
        yield connection
        connection.rollback()


def everything_of(admin: psycopg.Connection, tenant: Tenant) -> list[list[tuple[object, ...]]]:
    """Every row of a tenant, past row-level security."""
    queries = [
        f"select to_jsonb(t) from ingest.{table} as t where tenant_id = %s order by id"
        for table in (*TENANT_TABLES, "rejection")
    ]
    queries.append("select to_jsonb(t) from dms_tenant as t where id = %s")
    return [admin.execute(query.encode(), [tenant.id]).fetchall() for query in queries]


def sent_by(address: str | None, *, proven: bool = True) -> Authentication:
    return Authentication(sender_address=address, sender_proven=proven)


def filed(
    store: Store, tenant: Tenant, sender: Authentication, *, claim: Claim | None = None
) -> tuple[int, HeldReason | None]:
    """File a mail with one document; return the mail's number and the reason why it waits."""
    mark = f"mail-{next(_numbers)}"
    claim = claim or store.claims.claim(values.ref(message_id=f"AAk-{mark}"))
    assert claim is not None
    mail = replace(values.message(subject=mark, of=claim.ref), authentication=sender)
    mail = replace(mail, sender=sender.sender_address or "", internet_message_id=f"<{mark}@supplier.example>")
    with store.tenants.tenant_context(tenant):
        saved = store.copies.save(claim, mail, blob(tenant, mark), [document(tenant, mark)], last=True)
    return claim.id, saved.held


def mode(senders: Senders, tenant: Tenant, wanted: SenderMode | None, purpose: str = "") -> None:
    senders.set_mode(str(tenant.id), wanted, ANNA, purpose=purpose)


def copies(stack: Stack, message_id: str) -> list[tuple[str, str | None]]:
    """Return the tenants of the stored copies, and the operators who assigned them."""
    with psycopg.connect(stack.postgres.owner_url) as owner:
        return owner.execute(
            "select tenant_id::text, assigned_by from ingest.message join ingest.claim on claim.id = claim_id"
            " where message_id = %s order by message.id",
            [message_id],
        ).fetchall()
