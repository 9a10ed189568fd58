"""The end of what is kept: each rule deletes what is due and nothing else, and all of it is on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from ingest.codes import Reason
from ingest.errors import BlobProtected, BlobUnavailable, Later, LeaseLost, OperatorError
from ingest.filing import FilingOptions
from ingest.model.blob import StoredBlob
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import QuarantinedMail
from ingest.model.message_ref import MessageRef, Trigger
from ingest.storage.blobs import protected_by
from operations.audit import Account, Audit
from operations.blobs.expiry import Expired
from operations.blobs.restoration import Restoration
from operations.mails.history import Histories
from operations.retention import Retention
from operations.settings import RetentionSettings
from operations.tenants.records import Tenants
from tests.fakes import values
from tests.integration.databases import Database, Server
from tests.integration.stores import (
    Seeded,
    Store,
    add_tenant,
    blob,
    document,
    everything_of,
    reject,
    save,
    seed,
)

pytestmark = pytest.mark.shares("postgres")

ACCOUNT = Account(why="yearly run", remark="anna")
NOW = datetime.now(UTC)
ALL = RetentionSettings(mails=10, quarantine=10, claims=10)


class Blobs:
    """A container in memory; `protected`: blobs that are protected until a day."""

    container = "documents"

    def __init__(self) -> None:
        self.there: bool | BlobUnavailable = True
        self.deleted: list[str] = []
        self.protected: dict[str, datetime] = {}
        self.of_container: set[str] = set()  # a policy of the whole container, which no blob shows
        self.missing: set[str] = set()
        self.meanwhile: Callable[[], object] = lambda: None

    def has_container(self) -> bool:
        if isinstance(self.there, BlobUnavailable):
            raise self.there
        return self.there

    def names(self, prefix: str) -> Iterator[str]:
        return iter([name for name in (f"{prefix}x", *self.protected) if name.startswith(prefix)])

    def must_be_unprotected(self, name: str, *, now: datetime) -> bool:
        if name in self.protected and self.protected[name] > now:
            raise protected_by(legal_hold=False, until=self.protected[name])
        return name not in self.missing

    def delete(self, name: str) -> None:
        self.meanwhile()
        if name in self.protected or name in self.of_container:
            raise protected_by(legal_hold=False, until=self.protected.get(name))
        self.deleted.append(name)
        self.missing.add(name)


class Folder:
    """The Quarantine folder: mails by their age in days."""

    def __init__(self, *ages: int) -> None:
        self.found = [
            QuarantinedMail(
                ref=values.ref(message_id=f"AAk-{age}"),
                received_at=NOW - timedelta(days=age),
                sender="x",
                subject="x",
                reason=Reason.NO_TOKEN,
            )
            for age in sorted(ages, reverse=True)
        ]
        self.deleted: list[MessageRef] = []
        self.moved: set[MessageRef] = set()

    def mails(self, mailbox: str) -> Iterator[QuarantinedMail]:  # noqa: ARG002 - there is one
        return iter(self.found)

    def delete(self, ref: MessageRef, account: Account) -> None:
        assert account == ACCOUNT
        if ref in self.moved:
            raise OperatorError("The mail is not in Quarantine: it was moved elsewhere.")
        self.deleted.append(ref)


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def age(server: Server, database: Database, days: int, *claims: int) -> None:
    """Let days pass for the mails of these claims. Those that are stored have left the inbox."""
    with server.admin(database) as admin:
        admin.execute(
            "update ingest.claim set state = 'deleted', lease_until = null where state = 'stored' and id = any (%s)",
            [list(claims)],
        )
        for table, column in (("message", "stored_at"), ("rejection", "rejected_at")):
            statement = f"update ingest.{table} set {column} = now() - %s * interval '1 day' where claim_id = any (%s)"
            admin.execute(statement.encode(), [days, list(claims)])
        admin.execute(
            "update ingest.claim set ended_at = now() - %s * interval '1 day' where id = any (%s)",
            [days, list(claims)],
        )


def run(
    database: Database,
    blobs: Blobs,
    settings: RetentionSettings = ALL,
    *,
    folder: Folder | None = None,
    dry_run: bool = False,
) -> dict[str, Expired]:
    rules = Retention(
        settings=settings,
        database_url=database.operator_url,
        container=lambda _: blobs,
        quarantine=folder or Folder(),
        mailboxes=[values.MAILBOX],
        account=ACCOUNT,
        dry_run=dry_run,
    )
    return {outcome.rule: outcome for outcome in rules.run()}


def test_a_mail_goes_with_its_blobs_after_its_days_and_no_other_mail(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old, young = seed(database, store, "old"), seed(database, store, "young")
    age(server, database, 11, old.claim.id)
    age(server, database, 9, young.claim.id)
    outcome = run(database, blobs)["mails"]
    assert (outcome.due, outcome.gone, outcome.protected) == (1, 1, ())
    assert blobs.deleted == [f"{old.tenant.id}/old"]
    with server.admin(database) as admin:
        assert everything_of(admin, old.tenant)[:-1] == [[], [], [], []]
        assert [len(rows) for rows in everything_of(admin, young.tenant)] == [1, 1, 1, 0, 1]


def test_a_dry_run_counts_and_changes_nothing(server: Server, database: Database, store: Store, blobs: Blobs) -> None:
    old = seed(database, store, "old")
    rejected = reject(store, old.tenant, "rejected", Reason.UNREADABLE)
    age(server, database, 11, old.claim.id, rejected.id)
    folder = Folder(11)
    outcome = run(database, blobs, folder=folder, dry_run=True)
    assert {rule: (one.due, one.gone) for rule, one in outcome.items()} == {
        "mails": (1, 0),
        "quarantine": (1, 0),
        "rejections": (1, 0),
        "claims": (0, 0),
    }
    assert (blobs.deleted, folder.deleted) == ([], [])
    assert Histories(database.operator_url).mail(old.claim.id)
    assert Audit(database.operator_url).newest(limit=10) == []


def test_a_protected_mail_stays_whole_and_is_named_with_the_end(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    protected, free = seed(database, store, "protected"), seed(database, store, "free")
    age(server, database, 11, protected.claim.id, free.claim.id)
    until = datetime(2036, 11, 27, tzinfo=UTC)
    blobs.protected[f"{protected.tenant.id}/protected"] = until
    outcome = run(database, blobs)["mails"]
    assert (outcome.due, outcome.gone) == (2, 1)
    assert [(one.number, one.until) for one in outcome.protected] == [(protected.claim.id, until)]
    with server.admin(database) as admin:
        assert [len(rows) for rows in everything_of(admin, protected.tenant)] == [1, 1, 1, 0, 1]
    assert blobs.deleted == [f"{free.tenant.id}/free"]


def test_a_mail_that_comes_again_while_its_first_copy_goes_is_a_copy_of_its_own(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    original = StoredBlob(container="documents", name=f"{old.tenant.id}/again", size=1, sha256="old")

    def comes_again() -> None:
        claim = store.claims.claim(values.ref(message_id="AAk-again"))
        assert claim is not None
        message = values.message(subject="again", of=claim.ref)
        with store.tenants.tenant_context(old.tenant):
            if not store.copies.link(claim, message, original.sha256, last=True):
                store.copies.save(claim, message, original, [document(old.tenant, "again")], last=True)

    blobs.meanwhile = comes_again
    outcome = run(database, blobs)["mails"]
    assert (outcome.due, outcome.gone) == (1, 1)
    assert blobs.deleted == [f"{old.tenant.id}/old"]
    with server.admin(database) as admin:
        [(name, first)] = admin.execute("select blob_name, duplicate_of from ingest.message").fetchall()
    assert (name, first) == (original.name, None)


def refile(store: Store, old: Seeded, *, header: str | None = "<4711@supplier.example>") -> None:
    """Bring the mail back to the inbox under its own claim, and file the mail as the app does."""
    claim = store.claims.claim(old.claim.ref)
    assert claim is not None
    message = replace(values.message(subject=old.mark, of=claim.ref), internet_message_id=header)
    try:
        with store.tenants.tenant_context(old.tenant):
            linked = header is not None and store.copies.link(claim, message, old.mark, last=True)
            if not linked:
                store.copies.save(
                    claim, message, blob(old.tenant, old.mark), [document(old.tenant, old.mark)], last=True
                )
    except Later as later:
        store.claims.put_off(claim, str(later))
        raise
    store.claims.end(claim, ClaimState.DELETED)


@pytest.mark.parametrize("header", ["<4711@supplier.example>", None])
def test_a_mail_that_comes_back_while_its_copy_goes_is_stored_anew_after_that(
    server: Server, database: Database, store: Store, blobs: Blobs, header: str | None
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    refused: list[Exception] = []

    def comes_back() -> None:
        with pytest.raises(Later, match="ObjectInUse") as raised:
            refile(store, old, header=header)
        refused.append(raised.value)

    blobs.meanwhile = comes_back
    assert run(database, blobs)["mails"].gone == 1
    assert len(refused) == 1
    refile(store, old, header=header)
    with server.admin(database) as admin:
        found = admin.execute("select claim_id, stored_at > now() - interval '1 hour' from ingest.message").fetchall()
    assert found == [(old.claim.id, True)]


def test_an_owner_that_found_the_blobs_before_they_went_records_nothing(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    taken: list[Claim | None] = []
    blobs.meanwhile = lambda: taken.append(store.claims.claim(old.claim.ref))
    run(database, blobs)
    (claim,) = taken
    assert claim is not None
    with store.tenants.tenant_context(old.tenant), pytest.raises(LeaseLost):
        store.copies.save(claim, values.message(of=claim.ref), blob(old.tenant, "old"), [], last=True)
    again = store.claims.claim(old.claim.ref)
    assert again is not None
    assert (again.taken_over, again.crashes) == (False, 0)


@pytest.mark.parametrize("given_back", [False, True])
def test_a_copy_stays_while_its_mail_is_unfinished(
    server: Server,
    database: Database,
    store: Store,
    blobs: Blobs,
    given_back: bool,  # noqa: FBT001 - parametrized
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    claim = store.claims.claim(old.claim.ref)
    assert claim is not None
    if given_back:
        store.claims.put_off(claim, "down")
    assert run(database, blobs)["mails"].due == 0
    with psycopg.connect(database.operator_url, autocommit=True) as operator:
        marked = operator.execute("select ingest.mark_ending(%s, %s, now())", [old.tenant.id, [old.message]])
        assert marked.fetchone() == ([],)
    assert blobs.deleted == []


def test_the_days_of_a_mail_that_came_back_count_from_its_last_end(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    refile(store, old)
    assert run(database, blobs)["mails"].due == 0


def test_a_protected_part_keeps_the_original_and_the_mail_may_come_again(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    blobs.protected[f"{old.tenant.id}/part"] = datetime(2036, 11, 27, tzinfo=UTC)
    outcome = run(database, blobs)["mails"]
    assert (outcome.gone, blobs.deleted) == (0, [])
    assert [one.number for one in outcome.protected] == [old.claim.id]
    refile(store, old)


def test_a_policy_of_the_container_keeps_the_whole_mail(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    blobs.of_container = {f"{old.tenant.id}/part"}  # the newest blob, which is protected the longest
    outcome = run(database, blobs)["mails"]
    assert (outcome.gone, blobs.deleted, len(outcome.protected)) == (0, [], 1)
    refile(store, old)


def test_a_mail_that_is_protected_half_way_says_what_is_left(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    blobs.of_container = {f"{old.tenant.id}/old"}
    for _ in range(2):
        outcome = run(database, blobs)["mails"]
        (protected,) = outcome.protected
        assert protected.why == "the container's immutability policy protects a blob; 1 of its 2 blobs are gone"
        assert outcome.gone == 0
        with pytest.raises(Later, match="ObjectInUse"):
            refile(store, old)
        age(server, database, 11, old.claim.id)
    blobs.of_container = set()
    assert run(database, blobs)["mails"].gone == 1


def test_two_runs_at_once_delete_no_blob_that_was_stored_in_between(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    age(server, database, 11, old.claim.id)
    again: list[str] = []
    nothing: Any = None
    restoration = Restoration(database.owner_url, mail=nothing, container=nothing, options=FilingOptions())

    def second_run() -> None:
        with pytest.raises(OperatorError, match="is running"):
            run(database, Blobs())
        with pytest.raises(OperatorError, match="is running"):
            list(restoration.restore(iter([]), ACCOUNT))
        again.append("refused")

    blobs.meanwhile = second_run
    run(database, blobs)
    assert again == ["refused"]


@pytest.mark.parametrize(
    ("there", "missing", "said"),
    [
        (False, False, "has no container documents. Check INGEST_STORAGE"),
        (
            BlobUnavailable("blob container: AuthenticationFailed"),
            False,
            "gives no answer .*AuthenticationFailed.*Check",
        ),
        (True, True, "lacks the newest mail on record, .*/young. Check INGEST_STORAGE"),
    ],
)
def test_a_wrong_storage_account_stops_the_run_before_anything_is_marked(
    server: Server,
    database: Database,
    store: Store,
    blobs: Blobs,
    *,
    there: bool | BlobUnavailable,
    missing: bool,
    said: str,
) -> None:
    old, young = seed(database, store, "old"), seed(database, store, "young")
    age(server, database, 11, old.claim.id)
    blobs.there = there
    blobs.missing = {f"{old.tenant.id}/old", f"{young.tenant.id}/young"} if missing else set()
    for dry_run in (True, False):
        with pytest.raises(OperatorError, match=f"^Nothing was deleted: .*{said}"):
            run(database, blobs, dry_run=dry_run)
    assert blobs.deleted == []
    with server.admin(database) as admin:
        assert [len(rows) for rows in everything_of(admin, old.tenant)] == [1, 1, 1, 0, 1]
        assert admin.execute("select count(*) from ingest.message where ending").fetchone() == (0,)


# A run that broke off


def break_off(database: Database, blobs: Blobs, after: int) -> None:
    """Let a run break off, as by a kill, once it has deleted so many blobs."""

    def breaks() -> None:
        if len(blobs.deleted) == after:
            raise BlobUnavailable("blob delete: broken off")

    blobs.meanwhile = breaks
    with pytest.raises(BlobUnavailable, match="broken off"):
        run(database, blobs)
    blobs.meanwhile = lambda: None


def has_marks(database: Database) -> bool:
    """Return whether a run that broke off has left marks."""
    with psycopg.connect(database.operator_url) as connection:
        return connection.execute("select from ingest.message where ending limit 1").fetchone() is not None


LONGER = RetentionSettings(mails=100, claims=100)


@pytest.mark.parametrize("settings", [LONGER, RetentionSettings(claims=100), RetentionSettings()])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_mark_of_a_run_that_broke_off_goes_where_the_mail_is_kept_by_now(
    server: Server,
    database: Database,
    store: Store,
    blobs: Blobs,
    *,
    settings: RetentionSettings,
    dry_run: bool,
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    break_off(database, blobs, after=0)
    assert has_marks(database)
    outcome = run(database, blobs, settings, dry_run=dry_run)["marks"]
    assert (outcome.due, outcome.gone, outcome.missed, blobs.deleted) == (1, 0, (), [])
    assert has_marks(database) == dry_run
    if not dry_run:
        refile(store, old)


def test_a_mail_that_lost_some_blobs_before_its_days_grew_stays_and_is_named(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    break_off(database, blobs, after=1)
    outcome = run(database, blobs, LONGER)["marks"]
    (missed,) = outcome.missed
    assert missed == (
        f"{old.claim.id}: 1 of its 2 blobs are gone, and the mail is kept: "
        f"messages restore {old.claim.id} stores them again"
    )
    assert (outcome.gone, has_marks(database)) == (0, False)
    with server.admin(database) as admin:
        assert [len(rows) for rows in everything_of(admin, old.tenant)] == [1, 1, 1, 0, 1]


def test_a_mail_that_lost_all_blobs_before_its_days_grew_goes_and_is_on_the_record(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    other = save(store, old.tenant, "other")
    age(server, database, 11, old.claim.id, other.id)
    break_off(database, blobs, after=1)
    outcome = run(database, blobs, LONGER)["marks"]
    assert (outcome.due, outcome.gone, has_marks(database)) == (2, 1, False)
    with server.admin(database) as admin:
        assert admin.execute("select claim_id from ingest.message").fetchall() == [(other.id,)]
    assert json.loads(Audit(database.operator_url).newest(limit=1)[0].details)["copies"] == 1


def test_a_run_that_broke_off_is_finished_by_the_next_one(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed_with_part(database, store)
    age(server, database, 11, old.claim.id)
    break_off(database, blobs, after=1)
    with pytest.raises(Later, match="ObjectInUse"):
        refile(store, old)
    outcome = run(database, blobs)
    assert (outcome["marks"].gone, outcome["mails"].gone, has_marks(database)) == (0, 1, False)
    refile(store, old)


def test_a_linked_mail_whose_first_copy_goes_is_no_proof_against_the_account(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old = seed(database, store, "old")
    claim = store.claims.claim(values.ref(message_id="AAk-again"))
    assert claim is not None
    with store.tenants.tenant_context(old.tenant):
        assert store.copies.link(claim, values.message(subject="again", of=claim.ref), old.mark, last=True)
    age(server, database, 11, old.claim.id, claim.id)
    with server.admin(database) as admin:  # as a run leaves it that ends between its last blob and the row
        admin.execute("update ingest.message set ending = true where id = %s", [old.message])
    blobs.missing.add(f"{old.tenant.id}/old")
    assert run(database, blobs)["mails"].due > 0


# Claims of mailboxes that left the settings


def test_the_unfinished_claims_of_a_removed_mailbox_end_and_no_other(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    removed = MessageRef(mailbox="former@dms.example", message_id="AAk-removed", trigger=Trigger.WEBHOOK)
    fresh = replace(removed, message_id="AAk-fresh")
    waiting = values.ref(message_id="AAk-waiting")
    for ref in (removed, fresh, waiting):
        claim = store.claims.claim(ref)
        assert claim is not None
        store.claims.put_off(claim, "down")
    with server.admin(database) as admin:
        admin.execute(
            "update ingest.claim set first_seen_at = now() - interval '31 days', enqueued_at = null,"
            " next_try_at = now() - interval '31 days' where message_id <> 'AAk-fresh'"
        )
    assert run(database, blobs, RetentionSettings(mails=10), dry_run=True)["left"].due == 1
    assert run(database, blobs, RetentionSettings(mails=10))["left"].gone == 1
    found = database.rows("select message_id, state, last_error from ingest.claim where state = 'gone'")
    assert found == [
        {"message_id": "AAk-removed", "state": "gone", "last_error": "the mailbox is not in the settings any more"}
    ]
    entry = Audit(database.operator_url).newest(limit=1)[0]
    assert (entry.action, json.loads(entry.details)["mailboxes"]) == ("retention.left", [removed.mailbox])
    again = store.claims.claim(removed)  # the mailbox is back, and the mail was in its inbox all the time
    assert again is not None
    assert (again.reopened, again.attempts) == (True, 1)


def test_the_copy_of_a_mail_in_a_removed_mailbox_is_kept_until_its_claim_has_ended(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    tenant = add_tenant(database, "one")
    claim = save(store, tenant, "old")  # its clean-up never came
    with server.admin(database) as admin:
        admin.execute(
            "update ingest.claim set mailbox = 'former@dms.example', lease_until = now() - interval '40 days',"
            " first_seen_at = now() - interval '40 days'"
        )
        admin.execute("update ingest.message set stored_at = now() - interval '40 days'")
    outcome = run(database, blobs)
    assert (outcome["left"].gone, outcome["mails"].gone) == (1, 0)
    age(server, database, 11, claim.id)
    assert run(database, blobs)["mails"].gone == 1


def seed_with_part(database: Database, store: Store) -> Seeded:
    """Store a mail of two blobs: its original `old` and `part`."""
    old = seed(database, store, "old")
    database.run(
        f"select ingest.open_tenant({old.tenant.id});"
        f" update ingest.part set blob_name = '{old.tenant.id}/part';"
        f" update ingest.document set blob_name = '{old.tenant.id}/part'"
    )
    return old


def test_the_mails_in_quarantine_go_after_their_days_oldest_first(database: Database, blobs: Blobs) -> None:
    folder = Folder(9, 30, 11)
    assert run(database, blobs, folder=folder)["quarantine"].gone == 2
    assert [ref.message_id for ref in folder.deleted] == ["AAk-30", "AAk-11"]


def test_the_days_of_a_mail_in_quarantine_count_from_its_move(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    old, late = (reject(store, None, str(days), Reason.NO_TOKEN) for days in (30, 31))
    age(server, database, 11, old.id)
    age(server, database, 9, late.id)
    folder = Folder(30, 31)
    assert run(database, blobs, folder=folder)["quarantine"].due == 1
    assert folder.deleted == [old.ref]


def test_a_mail_that_a_person_moves_meanwhile_keeps_no_other_in_quarantine(database: Database, blobs: Blobs) -> None:
    folder = Folder(30, 11)
    folder.moved = {folder.found[0].ref}
    outcome = run(database, blobs, folder=folder)["quarantine"]
    assert (outcome.due, outcome.gone) == (2, 1)
    assert outcome.missed == ("AAk-30: The mail is not in Quarantine: it was moved elsewhere.",)
    assert [ref.message_id for ref in folder.deleted] == ["AAk-11"]


def test_rejections_and_then_their_claims_go_after_their_days(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    tenant = add_tenant(database, "one")
    old = [reject(store, who, f"old {who}", Reason.UNREADABLE).id for who in (tenant, None)]
    young = reject(store, tenant, "young", Reason.UNREADABLE).id
    stored = save(store, tenant, "stored").id
    age(server, database, 11, *old, stored)
    outcome = run(database, blobs, RetentionSettings(quarantine=10, claims=10))
    assert (outcome["rejections"].gone, outcome["claims"].gone) == (2, 2)
    assert {row["id"] for row in database.rows("select id from ingest.claim")} == {young, stored}


def test_a_claim_in_work_never_goes(server: Server, database: Database, store: Store, blobs: Blobs) -> None:
    claim = store.claims.claim(values.ref())
    assert claim is not None
    age(server, database, 1000, claim.id)
    assert run(database, blobs)["claims"].due == 0


def test_each_deletion_is_on_the_record(server: Server, database: Database, store: Store, blobs: Blobs) -> None:
    old = seed(database, store, "old")
    rejected = reject(store, old.tenant, "rejected", Reason.UNREADABLE)
    age(server, database, 11, old.claim.id, rejected.id)
    run(database, blobs)
    entries = Audit(database.operator_url).newest(limit=10)
    assert [entry.action for entry in reversed(entries)] == [
        "retention.mails",
        "retention.rejections",
        "retention.claims",
    ]
    assert {(entry.why, entry.remark) for entry in entries} == {("yearly run", "anna")}


@pytest.mark.parametrize("call", ["expire_copies(1, '{1}', now(), 'x', 'x')", "expire_claims('{1}', now(), 'x', 'x')"])
def test_neither_the_app_nor_the_dms_ends_anything(database: Database, call: str) -> None:
    for url in (database.app_url, database.reader_url):
        with psycopg.connect(url) as login, pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(f"select ingest.{call}".encode())


def test_the_database_deletes_no_mail_that_is_not_due(database: Database, store: Store) -> None:
    young = seed(database, store, "young")
    with psycopg.connect(database.operator_url, autocommit=True) as operator:
        for before in ("now() - interval '1 day'", "'-infinity'"):
            statement = f"select ingest.expire_copies(%s, array[%s::bigint], {before}, 'x', 'x')"
            assert operator.execute(statement.encode(), [young.tenant.id, young.message]).fetchone() == (0,)


@pytest.mark.parametrize(
    "call",
    [
        "mark_ending({tenant}, array[{message}], now())",
        "keep_copies({tenant}, array[{message}])",
        "expire_copies({tenant}, array[{message}], now(), 'x', 'x')",
        "expire_rejections({tenant}, '{{}}', now(), 'x', 'x')",
        "release_document('{document}', {tenant}, 'x', 'x')",
        "holdings({tenant})",
    ],
)
def test_an_operators_action_leaves_no_tenants_context_open(database: Database, store: Store, call: str) -> None:
    old = seed(database, store, "old")
    database.run(
        f"select ingest.open_tenant({old.tenant.id});"
        " insert into ingest.withheld (document_id, tenant_id, reason)"
        f" values ('{old.document}', {old.tenant.id}, 'malicious')"
    )
    with psycopg.connect(database.operator_url) as operator:
        called = call.format(tenant=old.tenant.id, message=old.message, document=old.document)
        operator.execute(f"select ingest.{called}".encode())
        assert operator.execute("select ingest.current_tenant()").fetchone() == (None,)


def test_each_function_that_opens_a_tenants_context_for_an_operator_ends_it(database: Database) -> None:
    left = database.rows(
        "select proname from pg_proc where pronamespace = 'ingest'::regnamespace"
        " and prosrc ~ 'perform ingest.open_tenant' and prosrc !~ 'perform ingest.(close_tenant|set_held)'"
    )
    assert [row["proname"] for row in left] == ["enter_tenant"]


# Forgetting a tenant


def test_a_tenant_with_a_protected_blob_is_not_forgotten_and_loses_no_other_blob(
    database: Database, store: Store, blobs: Blobs
) -> None:
    kept = seed(database, store, "kept")
    tenants, wanted = Tenants(database.operator_url), str(kept.tenant.id)
    tenants.disable(wanted, ACCOUNT)
    database.run("update ingest.disabled_tenant set disabled_at = now() - interval '1 hour'")
    blobs.protected[f"{kept.tenant.id}/y"] = NOW + timedelta(days=1)
    with pytest.raises(BlobProtected):
        tenants.forget(wanted, ACCOUNT, confirmed=tenants.holdings(wanted), containers=[blobs], lease_seconds=600)
    assert blobs.deleted == []


def test_a_tenant_with_mails_under_retention_is_not_forgotten_and_the_day_is_named(
    server: Server, database: Database, store: Store, blobs: Blobs
) -> None:
    kept = seed(database, store, "kept")
    tenants, wanted = Tenants(database.operator_url), str(kept.tenant.id)
    tenants.disable(wanted, ACCOUNT)
    database.run("update ingest.disabled_tenant set disabled_at = now() - interval '1 hour'")
    holdings = tenants.holdings(wanted)
    until = datetime.now(UTC) + timedelta(days=3650)
    forget = partial(
        tenants.forget, wanted, ACCOUNT, confirmed=holdings, containers=[blobs], lease_seconds=600, retain_days=3650
    )
    with pytest.raises(OperatorError, match=f"kept until {until:%Y-%m-%d} "):
        forget()
    assert blobs.deleted == []
    age(server, database, 3651, kept.claim.id)
    assert forget() == 1
