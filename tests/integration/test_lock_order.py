"""Two sessions at work on the same rows: each statement takes its locks in one order, so that none waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from ingest.codes import HeldReason
from ingest.model.claim import ClaimState
from ingest.model.tenant import Tenant
from ingest.storage.backlog import Backlog
from operations.tenants.senders import SenderMode, Senders
from tests.fakes import values
from tests.integration.databases import Database
from tests.integration.sessions import SECONDS, sessions, settle, wait_for_lock
from tests.integration.stores import BILLING, VERDICT, Store, add_tenant, blob, document, filed, mode, sent_by

pytestmark = pytest.mark.shares("postgres")


def waiting(database: Database, store: Store, tenant: Tenant, sender: str) -> int:
    """File a mail that waits for its sender; return the message's id."""
    number, held = filed(store, tenant, sent_by(sender))
    assert held is HeldReason.SENDER_UNKNOWN
    with database.owner() as owner, owner.transaction():
        owner.execute("select ingest.open_tenant(%s)", [tenant.id])
        row = owner.execute("select id from ingest.message where claim_id = %s", [number]).fetchone()
    assert row is not None
    return int(row[0])


DECIDE = "select ingest.decide_held(%s, %s, 'approve_sender', 'known', 'anna')"
ALLOW = "select ingest.allow_senders(%s, null, %s, 'known', 'anna')"


def test_two_users_let_the_same_sender_in_by_two_of_its_mails(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    mails = [waiting(database, store, tenant, BILLING) for _ in range(2)]
    with sessions(database.operator_url, 2) as users, database.owner() as blocker:
        with blocker.transaction():
            blocker.execute("lock table ingest.sender in share mode")  # both users get to the list, and no further
            for user, mail in zip(users, mails, strict=True):
                user.ask(DECIDE, [tenant.id, mail])
                user.commit()
                settle(database, user)
        first, second = users
        assert first.results()[0] == [(1,)]
        with pytest.raises(psycopg.errors.NoDataFound):  # the first one has let the mail in with its sender
            second.results()


def test_two_lists_of_senders_in_two_orders(database: Database, tenant: Tenant) -> None:
    one, both, other = "a@supplier.example", "m@supplier.example", "z@supplier.example"
    with sessions(database.operator_url, 3) as (blocker, *users):
        blocker.ask("select pg_advisory_xact_lock(1)")
        for user, entries in zip(users, ([one, other], [other, one]), strict=True):
            user.ask(ALLOW, [tenant.id, [both]])
            user.ask(ALLOW, [tenant.id, entries])
            user.commit()
            settle(database, user)
        assert [[row for (row,) in user.results()[:2]] for user in users] == [[(1,), (2,)], [(0,), (0,)]]


def test_a_mail_that_comes_in_while_its_sender_is_let_in_does_not_wait(
    database: Database, store: Store, senders: Senders, tenant: Tenant
) -> None:
    mode(senders, tenant, SenderMode.HOLD)
    with sessions(database.operator_url, 1) as (user,), ThreadPoolExecutor(1) as app:
        user.ask(ALLOW, [tenant.id, [BILLING]])
        settle(database, user)
        comes_in = app.submit(filed, store, tenant, sent_by(BILLING))
        wait_for_lock(database, "test_app", comes_in)
        user.commit()
        user.results()
        assert comes_in.result(SECONDS)[1] is None


def answers(database: Database, store: Store, *recipients: str) -> None:
    """Queue an answer for a mail of each recipient; due in this order."""
    for place, recipient in enumerate(recipients):
        claim = store.claims.claim(values.ref(message_id=f"AAk-{place}"))
        assert claim is not None
        store.claims.end(claim, ClaimState.GONE)
        database.run(
            f"update ingest.claim set state = 'quarantined' where id = {claim.id}",
            "insert into ingest.answer (claim_id, kind, recipient_hash, recipient, reply, next_try_at) values"
            f" ({claim.id}, 'received', '{recipient}', '{recipient}', '{{}}',"
            f" now() - interval '1 hour' + {place} * interval '1 minute')",
        )


def test_two_processes_take_answers_to_the_same_senders(database: Database, store: Store) -> None:
    answers(database, store, "anna", "berta", "berta", "anna")
    take = "select recipient from ingest.take_answers(1, 9)"
    with sessions(database.app_url, 2) as processes:
        for _ in range(2):
            for process in processes:
                process.ask(take)
                settle(database, *processes)
        for process in processes:
            process.commit()
        taken = [row for process in processes for rows in process.results()[:2] for (row,) in rows]
    assert sorted(taken) == ["anna", "anna", "berta", "berta"]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_verdict_that_comes_before_the_mail_is_recorded_withholds_its_document(
    database: Database,
    store: Store,
    tenant: Tenant,
    at_once: bool,  # noqa: FBT001 - parametrized
) -> None:
    name = f"{tenant.id}/key/mail/001"
    original = replace(blob(tenant, "mail"), name=f"{tenant.id}/key/mail/original.eml")
    part = replace(document(tenant, "bad"), blob=replace(blob(tenant, "bad"), name=name))
    claim = store.claims.claim(values.ref())
    assert claim is not None

    def save() -> None:
        with store.tenants.tenant_context(tenant):
            store.copies.save(claim, values.message(of=claim.ref), original, [part], last=True)

    with sessions(database.app_url, 1) as (verdict,), ThreadPoolExecutor(1) as app:
        verdict.ask(VERDICT, [name])
        settle(database, verdict)
        if not at_once:
            verdict.commit()
            verdict.results()
        saved = app.submit(save)
        wait_for_lock(database, "test_app", saved)
        verdict.commit()
        saved.result(SECONDS)
    with psycopg.connect(database.reader_url) as dms:
        assert dms.execute("select count(*) from ingest.document").fetchone() == (0,)


def listed(*message_ids: str) -> dict[str, object]:
    return {
        "mailbox": values.MAILBOX,
        "message_ids": list(message_ids),
        "received": [datetime.now(UTC)] * len(message_ids),
        "retry": 300,
        "most": 3600,
    }


def test_two_sweeps_list_the_same_mails_in_two_orders(database: Database) -> None:
    with sessions(database.app_url, 3) as (blocker, *sweeps):
        blocker.ask(Backlog.ENQUEUE, listed("AAk-m"))
        settle(database, blocker)
        for sweep, order in zip(sweeps, (["AAk-a", "AAk-m", "AAk-b"], ["AAk-b", "AAk-m", "AAk-a"]), strict=True):
            sweep.ask(Backlog.ENQUEUE, listed(*order))
            sweep.commit()
            settle(database, sweep)
        blocker.commit()
        blocker.results()
        assert [len(sweep.results()[0]) for sweep in sweeps] == [2, 0]


def test_two_sweeps_give_turns_at_once_and_each_turn_is_given_once(database: Database, store: Store) -> None:
    tenant = add_tenant(database, "flood")
    claims = []
    for place in range(4):
        claim = store.claims.claim(values.ref(message_id=f"AAk-{place}"))
        assert claim is not None
        claims.append(claim.id)
        database.run(
            f"insert into ingest.turn (claim_id, tenant_id, since) values ({claim.id}, {tenant.id},"
            f" now() - interval '1 hour' + {place} * interval '1 minute')",
            f"update ingest.claim set state = 'waiting', lease_until = null where id = {claim.id}",
        )
    give = {"mailbox": values.MAILBOX, "limit": 2, "retry": 300}
    with sessions(database.app_url, 2) as sweeps:
        for sweep in sweeps:
            sweep.ask(Backlog.GIVE_TURNS, give)
            settle(database, *sweeps)
        for sweep in sweeps:
            sweep.commit()
        given = [message for sweep in sweeps for (message,) in sweep.results()[0]]
    assert sorted(given) == [f"AAk-{place}" for place in range(len(given))]
    assert len(given) == len(set(given))
