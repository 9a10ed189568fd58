"""Malicious content: withheld wherever a tenant has it, in any order of verdict, restore and rebuild."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ingest.filing import FilingOptions
from ingest.model.blob import StoredBlob
from ingest.model.message import OriginalForm
from ingest.model.message_ref import MessageRef
from ingest.model.part import Part
from ingest.model.tenant import Tenant
from operations.audit import Account
from operations.blobs.derivation import Comparison, Copy, Derivation, RecordedPart
from operations.blobs.restoration import Restoration
from operations.blobs.verification import CheckedBlob, Damage, RecordedBlob
from operations.mails.download import malicious_parts
from operations.mails.history import Histories
from operations.mails.withheld import WithheldDocuments
from operations.schema.migrations import migrate, roll_back
from tests.fakes import values
from tests.fakes.blobs import FakeBlobs
from tests.fakes.mail import FakeMail, email
from tests.integration.databases import OWNER, Database, Server
from tests.integration.sessions import sessions, settle, wait_for_lock
from tests.integration.stores import VERDICT, Store, add_tenant, document, store_of

pytestmark = pytest.mark.shares("postgres")

ACCOUNT = Account(why="loss")
HEADER = "<4711@supplier.example>"


@dataclass(kw_only=True)
class World:
    """A tenant's mail in its mailbox, recorded with an original of other bytes, which is lost."""

    database: Database
    server: Server
    store: Store
    tenant: Tenant
    mail: FakeMail = field(default_factory=FakeMail)
    ref: MessageRef = field(default_factory=values.ref)
    number: int = 0
    message: int = 0
    document: UUID = field(default_factory=lambda: UUID(int=0))

    def __post_init__(self) -> None:
        self.ref = self.mail.deliver(email())
        self.number = file(self.store, self.tenant, "key", "lost", ref=self.ref)
        with self.server.admin(self.database) as admin:
            row = admin.execute("select message_id, id from ingest.document").fetchone()
        assert row is not None
        self.message, self.document = row

    def restore(self, *, scan: bool | None = None) -> None:
        container: Any = FakeBlobs()
        restoration = Restoration(
            self.database.owner_url,
            mail=self.mail,
            container=lambda _name: container,
            options=FilingOptions(),
            scan=scan,
        )
        with self.server.admin(self.database) as admin:
            row = admin.execute("select blob_name from ingest.message where id = %s", [self.message]).fetchone()
        assert row is not None
        lost = RecordedBlob(number=self.number, container="documents", name=row[0], size=1, sha256="lost")
        with self.server.membership("ingest_operator", OWNER):
            (restored,) = restoration.restore(iter([CheckedBlob(blob=lost, damage=Damage.MISSING)]), ACCOUNT)
        assert restored.other_bytes

    def make_original_a_document(self) -> str:
        """Let the mail be a document itself; return the blob's name."""
        name = f"{self.tenant.id}/key/lost/original.eml"
        with self.server.admin(self.database) as admin:
            for table in ("part", "document"):
                admin.execute(f"update ingest.{table} set blob_name = %s, sha256 = 'lost'".encode(), [name])
        return name

    def rebuild(self) -> None:
        """Put the part on record anew, as a document with another id."""
        part = RecordedPart(
            position=1,
            disposition="document",
            reason="file",
            name="bad.pdf",
            sha256="bad",
            blob_name=f"{self.tenant.id}/key/lost/001",
            document=self.document,
        )
        copy = Copy(
            id=self.message,
            number=self.number,
            tenant_id=self.tenant.id,
            mailbox=self.ref.mailbox,
            message_id=self.ref.message_id,
            received_at=values.NOON,
            container="documents",
            blob_name="",
            size=1,
            sha256="",
            original=OriginalForm.MIME,
        )
        derived = part_of(self.tenant, "key", "lost", "bad")
        rules = Derivation(self.database.owner_url, container=no_container, options=FilingOptions(), number=None)
        rules.replace(Comparison(copy=copy, recorded=[part], derived=[derived, derived_twin(derived)]), ACCOUNT)

    def verdict(self) -> None:
        judge(self.database, f"{self.tenant.id}/key/lost/001")


def no_container(name: str) -> Any:  # noqa: ANN401 - never made
    raise AssertionError(name)


def derived_twin(part: Part) -> Part:
    """A second document of the same blob, which gets a new id."""
    return replace(part, position=2, name="twin.pdf")


def part_of(tenant: Tenant, key: str, original: str, content: str, place: str = "001") -> Part:
    name = f"{tenant.id}/{key}/{original}/{place}"
    return replace(document(tenant, content), blob=StoredBlob(container="documents", name=name, size=1, sha256=content))


def file(
    store: Store,
    tenant: Tenant,
    key: str,
    original: str,
    content: str = "bad",
    *,
    ref: MessageRef | None = None,
    header: str | None = None,
) -> int:
    """File a mail with one document as the app does; return its number."""
    claim = store.claims.claim(ref or values.ref(message_id=f"AAk-{key}"))
    assert claim is not None
    name = f"{tenant.id}/{key}/{original}/original.eml"
    stored = StoredBlob(container="documents", name=name, size=1, sha256=original)
    message = replace(values.message(of=claim.ref), internet_message_id=header)
    with store.tenants.tenant_context(tenant):
        store.copies.save(claim, message, stored, [part_of(tenant, key, original, content)], last=True)
    return claim.id


def judge(database: Database, blob_name: str, verdict: str = "malicious") -> None:
    """The scanner gives a verdict on a blob."""
    with database.app() as scanner:
        scanner.execute(VERDICT.replace("malicious", verdict).encode(), [blob_name])


def seen(database: Database) -> list[str]:
    """The blobs of the documents that the DMS sees."""
    with psycopg.connect(database.reader_url) as dms:
        return [row[0] for row in dms.execute("select blob_name from ingest.document order by blob_name")]


@pytest.mark.parametrize("order", list(permutations(["restore", "rebuild", "verdict"])), ids="-".join)
def test_a_malicious_part_is_withheld_in_any_order_of_restore_rebuild_and_verdict(
    server: Server, database: Database, store: Store, tenant: Tenant, order: tuple[str, ...]
) -> None:
    world = World(database=database, server=server, store=store, tenant=tenant)
    for step in order:
        getattr(world, step)()
    assert seen(database) == []


def test_a_verdict_on_the_former_original_withholds_the_mail_that_is_a_document_itself(
    server: Server, database: Database, store: Store, tenant: Tenant
) -> None:
    world = World(database=database, server=server, store=store, tenant=tenant)
    former = world.make_original_a_document()
    world.restore()
    (restored,) = seen(database)
    assert restored != former
    judge(database, former)
    assert seen(database) == []


@pytest.mark.parametrize("hidden", [True, False])
def test_new_bytes_of_a_document_wait_for_a_verdict_of_their_own(
    server: Server,
    database: Database,
    store: Store,
    tenant: Tenant,
    hidden: bool,  # noqa: FBT001 - parametrized
) -> None:
    """The scanner has given the lost blob up."""
    world = World(database=database, server=server, store=store, tenant=tenant)
    judge(database, world.make_original_a_document(), "failed")
    world.restore(scan=hidden)
    with server.admin(database) as admin:
        due = admin.execute("select blob_name from ingest.scan_due").fetchall()
        ((name,),) = admin.execute("select blob_name from ingest.document").fetchall()
    assert due == [(name,)]
    assert seen(database) == ([] if hidden else [name])
    judge(database, name, "clean")
    assert seen(database) == [name]


def test_a_verdict_and_a_rebuild_of_a_restored_mail_wait_for_each_other(
    server: Server, database: Database, store: Store, tenant: Tenant
) -> None:
    world = World(database=database, server=server, store=store, tenant=tenant)
    world.restore()
    with sessions(database.app_url, 1) as (scanner,), ThreadPoolExecutor(1) as operator:
        scanner.ask(VERDICT, [f"{tenant.id}/key/lost/001"])
        settle(database, scanner)
        rebuilt = operator.submit(world.rebuild)
        wait_for_lock(database, OWNER, rebuilt)
        scanner.commit()
        scanner.results()
        rebuilt.result(120)
    assert seen(database) == []


def test_a_clean_verdict_on_a_part_of_a_restored_mail_shows_the_part(
    server: Server, database: Database, store: Store, tenant: Tenant
) -> None:
    world = World(database=database, server=server, store=store, tenant=tenant)
    with server.admin(database) as admin:
        admin.execute(
            "insert into ingest.withheld (document_id, tenant_id, reason) values (%s, %s, 'not_scanned')",
            [world.document, tenant.id],
        )
    world.restore()
    name = f"{tenant.id}/key/lost/001"
    judge(database, name, "clean")
    assert seen(database) == [name]


def test_a_mail_that_is_linked_to_a_malicious_one_shows_nothing(
    database: Database, store: Store, tenant: Tenant
) -> None:
    file(store, tenant, "first", "same", header=HEADER)
    file(store, tenant, "second", "same", header=HEADER)
    assert seen(database) == [f"{tenant.id}/first/same/001"]
    judge(database, f"{tenant.id}/first/same/001")
    assert seen(database) == []


def test_a_verdict_on_a_linked_mails_own_blob_withholds_the_first_copys_document(
    database: Database, store: Store, tenant: Tenant
) -> None:
    """The blob was uploaded before the mail was linked, and has no record of its own."""
    file(store, tenant, "first", "same", header=HEADER)
    file(store, tenant, "second", "same", header=HEADER)
    judge(database, f"{tenant.id}/second/same/002")
    assert seen(database) == [f"{tenant.id}/first/same/001"], "another part"
    judge(database, f"{tenant.id}/second/same/001")
    assert seen(database) == []


def test_a_verdict_counts_for_the_same_content_in_other_mails_of_the_tenant_alone(
    database: Database, store: Store, tenant: Tenant
) -> None:
    other = add_tenant(database, "other")
    file(store, tenant, "a", "one")
    file(store, tenant, "b", "two")
    file(store, tenant, "c", "three", "good")
    file(store, other, "d", "four")
    judge(database, f"{tenant.id}/b/two/001")
    file(store, tenant, "e", "five")
    assert seen(database) == [f"{tenant.id}/c/three/001", f"{other.id}/d/four/001"]


def test_a_verdict_that_was_early_counts_for_the_same_content_on_record(
    database: Database, store: Store, tenant: Tenant
) -> None:
    file(store, tenant, "a", "one")
    judge(database, f"{tenant.id}/b/two/001")
    assert seen(database) == [f"{tenant.id}/a/one/001"]
    file(store, tenant, "b", "two")
    assert seen(database) == []


def test_a_document_that_is_recorded_beside_a_verdict_on_its_content_is_withheld(
    database: Database, store: Store, tenant: Tenant
) -> None:
    file(store, tenant, "a", "one")
    with sessions(database.app_url, 1) as (scanner,), ThreadPoolExecutor(1) as app:
        scanner.ask(VERDICT, [f"{tenant.id}/a/one/001"])
        settle(database, scanner)
        saved = app.submit(file, store, tenant, "b", "two")
        wait_for_lock(database, "test_app", saved)
        scanner.commit()
        scanner.results()
        saved.result(120)
    assert seen(database) == []


def test_what_an_operator_released_stays_seen_and_withholds_no_later_mail_by_its_content(
    database: Database, store: Store, tenant: Tenant
) -> None:
    file(store, tenant, "a", "one")
    judge(database, f"{tenant.id}/a/one/001")
    withheld = WithheldDocuments(database.operator_url)
    (document,) = withheld.all(verdict="malicious", limit=10)
    withheld.release(document.document_id, ACCOUNT)
    file(store, tenant, "b", "two")
    assert seen(database) == [f"{tenant.id}/a/one/001", f"{tenant.id}/b/two/001"]
    judge(database, f"{tenant.id}/b/two/001")
    assert seen(database) == [f"{tenant.id}/a/one/001"]


def test_documents_that_are_withheld_by_the_verdict_on_another_blob_are_listed_as_malicious(
    database: Database, store: Store, tenant: Tenant
) -> None:
    numbers = [file(store, tenant, "a", "one"), file(store, tenant, "b", "two")]
    judge(database, f"{tenant.id}/a/one/001")
    found = WithheldDocuments(database.operator_url).all(verdict="malicious", limit=10)
    assert sorted(one.number for one in found) == numbers


def test_a_part_counts_as_malicious_in_each_mail_that_has_its_content(
    database: Database, store: Store, tenant: Tenant
) -> None:
    first = file(store, tenant, "a", "same", header=HEADER)
    linked = file(store, tenant, "b", "same", header=HEADER)
    other, good = file(store, tenant, "c", "three"), file(store, tenant, "d", "four", "good")
    judge(database, f"{tenant.id}/a/same/001")
    histories = Histories(database.operator_url)
    found = [malicious_parts(histories, number) for number in (first, linked, other, good)]
    assert found == [{1}, {1}, {1}, set()]


def test_malware_is_found_in_a_part_that_is_no_document(
    server: Server, database: Database, store: Store, tenant: Tenant
) -> None:
    number = file(store, tenant, "a", "one")
    with server.admin(database) as admin:
        admin.execute("delete from ingest.document")
    judge(database, f"{tenant.id}/a/one/001")
    assert malicious_parts(Histories(database.operator_url), number) == {1}


def test_the_migration_knows_the_mails_that_were_restored_before(server: Server, empty_database: Database) -> None:
    migrate(empty_database.owner_url)
    tenant = add_tenant(empty_database, "one")
    with store_of(empty_database) as store:
        world = World(database=empty_database, server=server, store=store, tenant=tenant)
        file(store, tenant, "b", "two", "worse")
        judge(empty_database, f"{tenant.id}/b/two/001")
        world.restore()
        roll_back(empty_database.owner_url, ACCOUNT, to="0043_early_verdicts")
        migrate(empty_database.owner_url)
        file(store, tenant, "c", "three", "worse")
    assert seen(empty_database) == [f"{tenant.id}/key/lost/001"]
    world.verdict()
    assert seen(empty_database) == []


def test_a_verdict_reads_a_few_rows_by_index(database: Database, store: Store, tenant: Tenant) -> None:
    """Beside a million records: each look of a verdict and of a new document has an index."""
    file(store, tenant, "a", "one")
    looks = [
        "select id from ingest.message where tenant_id = 1 and sha256 = 'x'",
        "select message_id from ingest.former_original where tenant_id = 1 and sha256 = 'x'",
        "select id from ingest.document where tenant_id = 1 and sha256 = any ('{x}')",
        "select from ingest.withheld where tenant_id = 1 and sha256 = 'x' and released_at is null",
    ]
    with database.owner() as owner:
        owner.execute("set enable_seqscan = off")
        for look in looks:
            plan = "\n".join(row[0] for row in owner.execute(f"explain {look}".encode()))
            assert "sha256 = " in plan.partition("Index Cond")[2], plan
