"""What Postgres remembers: claims on messages, and each tenant's messages, parts and documents.

Claims hold no tenant data and are visible to every instance. Everything of a tenant is written inside
`tenant_context(tenant)`, and row-level security sees to it that nothing else could be.

Driver errors leave this module translated: DatabaseUnavailable for whatever is not one mail's fault.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, LiteralString
from uuid import uuid4
from weakref import WeakKeyDictionary

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from ingest import log
from ingest.codes import Disposition, Reason
from ingest.errors import DatabaseUnavailable, LeaseLost
from ingest.model import (
    RULES_VERSION,
    Claim,
    ClaimInDoubt,
    ClaimState,
    LeftOver,
    Message,
    MessageRef,
    Part,
    StoredBlob,
    Tenant,
    TokenMatch,
    Trigger,
)
from ingest.storage import database as postgres
from ingest.trace import span

POOL_SIZE = 10
POOL_SECONDS = 5.0
MAX_DISTANCE = 12  # first distances between two tries of one message, however often it was put off: an hour
ABANDONED_LIMIT = 1000  # messages of a mailbox that one sweep takes up without having seen them in the inbox
_MS = 20_000  # for a statement, and for a transaction that says nothing
_LIMIT_EXCEEDED = ("54",)  # the class of Postgres's program limits, which psycopg counts among operational errors
_SILENT_SECONDS = 30.0  # after which a pooled connection is tried before it is used
# The one that costs no descriptor of its own, where there is one.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_last_used: WeakKeyDictionary[psycopg.Connection[dict[str, Any]], float] = WeakKeyDictionary()

_current_tenant: ContextVar[Tenant | None] = ContextVar("current_tenant", default=None)

# new | resumed | taken over | only to be cleaned up: a row. Busy: none. Attempts count here, so that a process
# that is killed a moment later has counted too. What comes back from Quarantine starts afresh.
CLAIM = """
with before as (
    select state, lease_until from ingest.claim where mailbox = %(mailbox)s and message_id = %(message_id)s
)
insert into ingest.claim as claim (mailbox, message_id, state, trigger, fence, attempts, lease_until)
values (%(mailbox)s, %(message_id)s, 'processing', %(trigger)s, nextval('ingest.fence'), 1,
    now() + %(lease)s * interval '1 second')
on conflict (mailbox, message_id) do update set
    state = case when claim.state in ('stored', 'deleted') then claim.state else 'processing' end,
    fence = excluded.fence,
    lease_until = excluded.lease_until,
    attempts = case when claim.state in ('quarantined', 'gone') then 1 else claim.attempts + 1 end,
    lost_fences = case when claim.state in ('quarantined', 'gone') then '{}'
                  when claim.lease_until is not null then claim.lost_fences || claim.fence
                  else claim.lost_fences end,
    defects = case when claim.state in ('quarantined', 'gone') then 0 else claim.defects end
where claim.lease_until is null or claim.lease_until < now()
returning id, fence, state, attempts, crashes, defects, reason,
    (select lease_until is not null from before) as taken_over
"""

# Still ours? Then for another lease. `reason` is kept from here on: should we die after the move to
# Quarantine, the next owner knows what it was for.
RENEW = """
update ingest.claim
set lease_until = now() + %(lease)s * interval '1 second', reason = coalesce(%(reason)s, reason)
where id = %(id)s and fence = %(fence)s
returning id
"""

# The end of one copy. The claim is stored with the last one; that those before have committed is what the caller
# says, not what a count says: who is addressed can change between two tries.
COMMIT = """
update ingest.claim
set copies = copies + %(new)s,
    state = case when %(last)s then 'stored' else state end,
    lease_until = now() + %(lease)s * interval '1 second',
    received_at = %(received_at)s, reason = null
where id = %(id)s and fence = %(fence)s
returning id
"""

END = """
update ingest.claim
set state = %(state)s, reason = %(reason)s, lease_until = null, next_try_at = null, deferrals = 0,
    last_error = null, ended_at = now()
where id = %(id)s and fence = %(fence)s
returning id
"""

# Given back, once: whoever does not hear the answer may ask again, and counts no defect twice. The queue tries again
# by itself for a while; the sweep leaves it that time.
PUT_OFF = """
update ingest.claim
set state = case when state = 'processing' then 'waiting' else state end,
    lease_until = null, last_error = %(error)s, defects = defects + %(defects)s,
    next_try_at = now() + %(retry)s * interval '1 second'
where id = %(id)s and fence = %(fence)s and lease_until is not null
returning id
"""

# Taken for dead, and heard of after all: its lease ran out while it was slow, or while Postgres was away.
SURVIVED = """
update ingest.claim set lost_fences = array_remove(lost_fences, %(fence)s)
where id = %(id)s and %(fence)s = any(lost_fences)
"""

# The queue has given up: the sweep brings the message back, each time later than the time before.
POISONED = """
insert into ingest.claim as claim (mailbox, message_id, state, trigger, deferrals, next_try_at)
values (%(mailbox)s, %(message_id)s, 'waiting', %(trigger)s, 1, now() + %(retry)s * interval '1 second')
on conflict (mailbox, message_id) do update set
    deferrals = claim.deferrals + 1,
    next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
where claim.state in ('waiting', 'processing', 'stored')
"""

# Of the messages that a listing showed, those that are not on their way: remembered as enqueued, and returned.
ENQUEUE = """
insert into ingest.claim as claim (mailbox, message_id, state, trigger, received_at, enqueued_at, deferrals,
    next_try_at)
select %(mailbox)s, listed.message_id, 'waiting', 'sweep', listed.received_at, now(), 1,
    now() + %(retry)s * interval '1 second'
from unnest(%(message_ids)s::text[], %(received)s::timestamptz[]) as listed (message_id, received_at)
on conflict (mailbox, message_id) do update set
    enqueued_at = now(), received_at = excluded.received_at, deferrals = claim.deferrals + 1,
    next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
where (claim.lease_until is null or claim.lease_until < now())
    and (claim.next_try_at is null or claim.next_try_at <= now())
returning message_id
"""

# How many messages the sweep has put on the queue that nobody has taken up yet.
OUTSTANDING = """
select count(*) as outstanding from ingest.claim
where mailbox = %(mailbox)s and state = 'waiting' and attempts = 0 and next_try_at > now()
"""

# Begun and not finished, by a process that died or in vain: they may not be in the inbox any more (moved or deleted
# without our having heard the answer), or have been read by somebody, so that no listing shows them.
ABANDONED = """
update ingest.claim as claim
set enqueued_at = now(), deferrals = claim.deferrals + 1,
    next_try_at = now() + least(%(retry)s * 2 ^ least(claim.deferrals, 20), %(most)s) * interval '1 second'
where id in (
    select id from ingest.claim
    where mailbox = %(mailbox)s and state in ('waiting', 'processing', 'stored')
        and (lease_until is null or lease_until < now()) and (next_try_at is null or next_try_at <= now())
    order by next_try_at nulls first
    limit %(limit)s
    for update skip locked
)
returning message_id
"""

RESOLVE = "select place, tenant_id, active from ingest.resolve_tokens(%(tokens)s)"

SET_TENANT = "select set_config('ingest.tenant_id', %(tenant)s, true)"

INSERT_MESSAGE = """
insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at,
    container, blob_name, size, sha256, rules_version)
values (%(claim)s, %(tenant)s, %(internet_message_id)s, %(subject)s, %(sender)s, %(trigger)s, %(received_at)s,
    %(container)s, %(blob_name)s, %(size)s, %(sha256)s, %(rules_version)s)
on conflict (claim_id, tenant_id) do nothing
returning id
"""

INSERT_PART = """
with part as (
    insert into ingest.part (message_id, tenant_id, position, parent, disposition, reason, name, declared_type,
        detected_type, type_mismatch, encrypted, related, size, sha256, blob_name)
    values (%(message)s, %(tenant)s, %(position)s, %(parent)s, %(disposition)s, %(reason)s, %(name)s,
        %(declared_type)s, %(detected_type)s, %(type_mismatch)s, %(encrypted)s, %(related)s, %(size)s, %(sha256)s,
        %(blob_name)s)
    returning *
)
insert into ingest.document (id, tenant_id, message_id, part_id, name, content_type, encrypted, size, sha256,
    container, blob_name, related_id, invoice_kind, invoice_profile, invoice_number, invoice_issue_date,
    invoice_seller, invoice_total, invoice_currency, invoice_problem)
select %(document)s, tenant_id, message_id, id, name, %(content_type)s, encrypted, size, sha256, %(container)s,
    blob_name, %(related_document)s, %(invoice_kind)s, %(invoice_profile)s, %(invoice_number)s,
    %(invoice_issue_date)s, %(invoice_seller)s, %(invoice_total)s, %(invoice_currency)s, %(invoice_problem)s
from part where disposition = 'document'
"""


class Records:
    """The records of one database, through a pool of connections that is opened on first use."""

    def __init__(self, database_url: str, *, container: str, lease_seconds: float, retry_seconds: float) -> None:
        self._container = container
        self._lease = lease_seconds
        self._retry = retry_seconds
        self._pool: ConnectionPool[psycopg.Connection[dict[str, Any]]] = ConnectionPool(
            database_url,
            min_size=0,
            max_size=POOL_SIZE,
            timeout=POOL_SECONDS,
            open=False,
            check=_check_if_suspect,
            reconnect_timeout=POOL_SECONDS,
            kwargs={
                # A statement alone is a transaction alone: no round trips for BEGIN and COMMIT.
                "autocommit": True,
                "row_factory": dict_row,
                **postgres.parameters(
                    "mail-ingest",
                    options=f"-c statement_timeout={_MS} -c idle_in_transaction_session_timeout={_MS}",
                ),
            },
        )

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    # Claims

    def claim(self, ref: MessageRef) -> Claim | None:
        """The right to work on a message, or None while another owner's lease lives.

        Raises ClaimInDoubt where Postgres may have granted it and the connection broke before it said so.
        """
        claim: Claim | None = None
        try:
            # In two steps, so that who is not told of the second one knows of the first.
            with self._connection("claim") as connection, connection.transaction():
                parameters = {**_key(ref), "trigger": ref.trigger, "lease": self._lease}
                row = connection.execute(CLAIM, parameters).fetchone()
                claim = self._claim(ref, row) if row is not None else None
        except DatabaseUnavailable as unavailable:
            if claim is None:
                raise
            raise ClaimInDoubt(str(unavailable), claim) from None
        return claim

    def _claim(self, ref: MessageRef, row: dict[str, Any]) -> Claim:
        return Claim(
            id=row["id"],
            ref=ref,
            fence=row["fence"],
            state=ClaimState(row["state"]),
            attempts=row["attempts"],
            crashes=row["crashes"],
            defects=row["defects"],
            lease_seconds=self._lease,
            reason=Reason(row["reason"]) if row["reason"] else None,
            taken_over=bool(row["taken_over"]),
        )

    def renew(self, claim: Claim, *, reason: Reason | None = None) -> None:
        """Keep the claim for another lease, and the reason of an intended quarantine. Raises LeaseLost."""
        self._owned("renew", RENEW, claim, lease=self._lease, reason=reason)

    def end(self, claim: Claim, state: ClaimState, *, reason: Reason | None = None) -> None:
        """The message is where it belongs: DELETED, QUARANTINED with its reason, or GONE. Raises LeaseLost."""
        self._owned("end", END, claim, state=state, reason=reason)

    def put_off(self, claim: Claim, error: str, *, defect: bool = False) -> None:
        """Give the claim back unfinished, with what went wrong.

        Raises LeaseLost where another owner has it; that this one is not dead is noted all the same.
        """
        ours = {"id": claim.id, "fence": claim.fence}
        with self._connection("put_off") as connection:
            parameters = {**ours, "error": _text(error), "defects": int(defect), "retry": self._retry}
            given_back = connection.execute(PUT_OFF, parameters).fetchone()
            if given_back is None:
                connection.execute(SURVIVED, ours)
        if given_back is None:
            raise LeaseLost("the message was taken over before 'put_off'")

    def note_poisoned(self, ref: MessageRef) -> None:
        """The queue has given up on the message; the sweep brings it back, with growing distance."""
        self._none("note_poisoned", POISONED, **_key(ref), trigger=ref.trigger, **self._distance)

    # The sweep

    def enqueue(self, mailbox: str, found: Sequence[LeftOver]) -> list[MessageRef]:
        """Those of `found` that are not on their way already, remembered as enqueued now, in their order."""
        rows = self._all(
            "enqueue",
            ENQUEUE,
            mailbox=mailbox,
            message_ids=[item.ref.message_id for item in found],
            received=[item.received_at for item in found],
            **self._distance,
        )
        due = {row["message_id"] for row in rows}
        return [item.ref for item in found if item.ref.message_id in due]

    def enqueue_abandoned(self, mailbox: str) -> list[MessageRef]:
        """Messages that were begun and are not finished, remembered as enqueued now: at most ABANDONED_LIMIT."""
        rows = self._all("enqueue_abandoned", ABANDONED, mailbox=mailbox, limit=ABANDONED_LIMIT, **self._distance)
        if len(rows) == ABANDONED_LIMIT:
            log.warning("sweep.limit_reached", mailbox=mailbox, limit=ABANDONED_LIMIT)
        return [MessageRef(mailbox=mailbox, message_id=row["message_id"], trigger=Trigger.SWEEP) for row in rows]

    def outstanding(self, mailbox: str) -> int:
        """How many messages the sweep has enqueued that nobody has taken up yet."""
        row = self._one("outstanding", OUTSTANDING, mailbox=mailbox)
        return int(row["outstanding"]) if row else 0

    # Tenants

    def resolve_tokens(self, tokens: Sequence[str]) -> list[TokenMatch]:
        """Whose the (normalised) tokens are. The app can't see tenants in any other way."""
        rows = self._all("resolve_tokens", RESOLVE, tokens=list(tokens))
        return [
            TokenMatch(position=row["place"], tenant=Tenant(id=row["tenant_id"]), active=row["active"]) for row in rows
        ]

    @contextmanager
    def tenant_context(self, tenant: Tenant) -> Iterator[None]:
        """Whatever is written in here is written for `tenant`, and only this tenant's rows exist in here.

        Each transaction tells Postgres by a setting that ends with it, so that the next user of a pooled
        connection can't inherit it.
        """
        if _current_tenant.get() is not None:
            raise RuntimeError("tenant_context can't be nested: one tenant at a time")
        token = _current_tenant.set(tenant)
        try:
            yield
        finally:
            _current_tenant.reset(token)

    def save(self, claim: Claim, message: Message, original: StoredBlob, parts: Sequence[Part], *, last: bool) -> None:
        """The message, its parts and its documents for the tenant of the context, in one transaction.

        With the `last` tenant's copy the claim becomes STORED in the same transaction. A copy that this tenant has
        already is left as it is. Raises LeaseLost: then nothing was written.
        """
        tenant = _current_tenant.get()
        if tenant is None:
            raise RuntimeError("documents are saved inside tenant_context(tenant) only")
        # In a pipeline, statements whose results nobody waits for share a round trip.
        with self._connection("save") as connection, connection.pipeline(), connection.transaction():
            connection.execute(SET_TENANT, {"tenant": str(tenant.id)})
            row = connection.execute(
                INSERT_MESSAGE,
                {
                    "claim": claim.id,
                    "tenant": tenant.id,
                    "internet_message_id": _text(message.internet_message_id),
                    "subject": _text(message.subject),
                    "sender": _text(message.sender),
                    "trigger": claim.ref.trigger,
                    "received_at": message.received_at,
                    "container": self._container,
                    "blob_name": original.name,
                    "size": original.size,
                    "sha256": original.sha256,
                    "rules_version": RULES_VERSION,
                },
            ).fetchone()
            if row is not None:
                with connection.cursor() as cursor:
                    cursor.executemany(INSERT_PART, self._parts(row["id"], tenant, parts))
            ours = connection.execute(
                COMMIT,
                {
                    "id": claim.id,
                    "fence": claim.fence,
                    "lease": self._lease,
                    "new": int(row is not None),
                    "last": last,
                    "received_at": message.received_at,
                },
            ).fetchone()
            if ours is None:
                raise LeaseLost("the message was taken over before it was saved")

    def _parts(self, message_id: int, tenant: Tenant, parts: Sequence[Part]) -> list[dict[str, object]]:
        """Parameters for each part. Documents get their ids here, so that one can point to a later one."""
        documents = {part.position: uuid4() for part in parts if part.disposition is Disposition.DOCUMENT}
        return [
            {
                **self._part(part),
                "message": message_id,
                "tenant": tenant.id,
                "document": documents.get(part.position),
                "related_document": None if part.related is None else documents.get(part.related),
            }
            for part in parts
        ]

    def _part(self, part: Part) -> dict[str, object]:
        invoice = part.invoice
        return {
            "position": part.position,
            "parent": part.parent,
            "disposition": part.disposition,
            "reason": part.reason,
            "name": _text(part.name),
            "declared_type": _text(part.declared_type),
            "detected_type": part.detected_type,
            "content_type": _text(part.content_type),
            "type_mismatch": part.type_mismatch,
            "encrypted": part.encrypted,
            "related": part.related,
            "size": part.size,
            "sha256": part.sha256,
            "blob_name": part.blob.name if part.blob else None,
            "container": self._container,
            "invoice_kind": invoice.kind if invoice else None,
            "invoice_profile": _text(invoice.profile) if invoice else None,
            "invoice_number": _text(invoice.number) if invoice else None,
            "invoice_issue_date": invoice.issue_date if invoice else None,
            "invoice_seller": _text(invoice.seller) if invoice else None,
            "invoice_total": invoice.total if invoice else None,
            "invoice_currency": invoice.currency if invoice else None,
            "invoice_problem": _text(invoice.problem) if invoice else None,
        }

    # Postgres

    @property
    def _distance(self) -> dict[str, float]:
        return {"retry": self._retry, "most": self._retry * MAX_DISTANCE}

    def _owned(self, name: str, statement: LiteralString, claim: Claim, **parameters: object) -> None:
        if self._one(name, statement, id=claim.id, fence=claim.fence, **parameters) is None:
            raise LeaseLost(f"the message was taken over before '{name}'")

    def _one(self, name: str, statement: LiteralString, **parameters: object) -> dict[str, Any] | None:
        with self._connection(name) as connection:
            return connection.execute(statement, parameters).fetchone()

    def _all(self, name: str, statement: LiteralString, **parameters: object) -> list[dict[str, Any]]:
        with self._connection(name) as connection:
            return connection.execute(statement, parameters).fetchall()

    def _none(self, name: str, statement: LiteralString, **parameters: object) -> None:
        with self._connection(name) as connection:
            connection.execute(statement, parameters)

    @contextmanager
    def _connection(self, name: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        try:
            self._pool.open()
            with span(f"sql.{name}"), self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise DatabaseUnavailable(f"sql {name}: {type(error).__name__}") from None
        except (psycopg.DataError, psycopg.IntegrityError):
            raise  # this mail's fault, or ours
        except psycopg.OperationalError as error:
            if (error.sqlstate or "").startswith(_LIMIT_EXCEEDED):
                raise  # something of this mail is too large for Postgres: no outage, and it will not pass
            raise DatabaseUnavailable(f"sql {name}: {type(error).__name__} {error.sqlstate or ''}".rstrip()) from None
        except psycopg.Error as error:
            # Lost connections, but also missing rights or tables: a deployment that is not complete yet.
            raise DatabaseUnavailable(f"sql {name}: {type(error).__name__} {error.sqlstate or ''}".rstrip()) from None


def _check_if_suspect(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Ask Postgres whether the connection still works, but only where that is in doubt.

    A pooled connection has nothing to read unless the server has closed it or is about to, and whatever stands
    in between forgets connections that were silent for minutes.
    """
    now = time.monotonic()
    silent_since, _last_used[connection] = _last_used.get(connection, now), now
    with _Selector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        readable = selector.select(timeout=0)
    if readable or now - silent_since > _SILENT_SECONDS:
        ConnectionPool.check_connection(connection)


def _key(ref: MessageRef) -> dict[str, str]:
    return {"mailbox": ref.mailbox, "message_id": ref.message_id}


def _text(value: str | None) -> str | None:
    """What Postgres can hold of a stranger's text: everything but NUL and lone surrogates."""
    if value is None:
        return None
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
