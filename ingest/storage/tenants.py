"""Tenants as the app sees them: the owner of a token, and the context in which rows are one tenant's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ingest.codes import PassedOver
from ingest.model.claim import Claim
from ingest.model.message import UNKNOWN_SENDER, Authentication
from ingest.model.tenant import Tenant, TokenMatch
from ingest.settings import DEFAULT_TENANT_BUDGET
from ingest.storage.database import Connection, Database, Row, as_text


class Tenants:
    """The tenants of one database. The app's role cannot list them: it resolves tokens, and enters contexts."""

    def __init__(self, database: Database, *, budget: int = DEFAULT_TENANT_BUDGET) -> None:
        """`budget`: mails an hour of a tenant without a budget of its own."""
        self._database = database
        self._budget = budget
        self._current: ContextVar[Tenant | None] = ContextVar("current_tenant", default=None)

    RESOLVE = """
    select place, tenant_id, active, over_budget, purpose, refused
    from ingest.route_tokens(%(tokens)s, %(budget)s, %(sender_address)s, %(sender_proven)s)
    """

    def resolve_tokens(self, tokens: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        """Return a match for each (normalised) token that belongs to a tenant. Raises DatabaseUnavailable."""
        rows = self._database.all(
            "resolve_tokens", self.RESOLVE, tokens=list(tokens), budget=self._budget, **_sender(sender)
        )
        return [_match(row, proof=tokens[row["place"] - 1]) for row in rows]

    RESOLVE_ADDRESSES = """
    select place, tenant_id, active, over_budget, purpose, refused
    from ingest.route_addresses(%(addresses)s, %(budget)s, %(sender_address)s, %(sender_proven)s)
    """

    def resolve_addresses(self, addresses: Sequence[str], sender: Authentication = UNKNOWN_SENDER) -> list[TokenMatch]:
        """Return a match for each old address that an operator has confirmed. Raises DatabaseUnavailable."""
        written = [as_text(address) for address in addresses]
        rows = self._database.all(
            "resolve_addresses", self.RESOLVE_ADDRESSES, addresses=written, budget=self._budget, **_sender(sender)
        )
        return [_match(row, proof=addresses[row["place"] - 1]) for row in rows]

    NOTE_PASSED_OVER = "select ingest.note_passed_over(%(claim)s, %(proofs)s, %(whys)s)"

    def note_passed_over(self, claim: Claim, passed_over: Mapping[str, PassedOver]) -> None:
        """Note the tokens and old addresses of the message that brought no copy, in place of earlier notes.

        Postgres keeps their tenants and no token. Raises DatabaseUnavailable.
        """
        self._database.none(
            "note_passed_over",
            self.NOTE_PASSED_OVER,
            claim=claim.id,
            proofs=[as_text(proof) for proof in passed_over],
            whys=[str(why) for why in passed_over.values()],
        )

    @contextmanager
    def tenant_context(self, tenant: Tenant) -> Iterator[None]:
        """Make only the rows of `tenant` writable and visible in this block, in this thread.

        Raises RuntimeError where a context is open already.
        """
        if self._current.get() is not None:
            raise RuntimeError("tenant_context can't be nested: one tenant at a time")
        token = self._current.set(tenant)
        try:
            yield
        finally:
            self._current.reset(token)

    ENTER = "select ingest.enter_tenant(%(claim)s, %(tenant)s, %(proof)s)"

    def enter(self, connection: Connection, claim: Claim) -> Tenant:
        """Open the context's tenant in this transaction, for the message of `claim`, and return the tenant.

        Postgres signs the context against the tenant's proof, or against an operator's assignment of the claim. The
        signature ends with the transaction: the next user of a pooled connection cannot inherit it. Raises
        RuntimeError outside of `tenant_context`.
        """
        tenant = self._current.get()
        if tenant is None:
            raise RuntimeError("documents are saved inside tenant_context(tenant) only")
        connection.execute(self.ENTER, {"claim": claim.id, "tenant": tenant.id, "proof": tenant.proof})
        return tenant


def _sender(sender: Authentication) -> dict[str, object]:
    return {"sender_address": as_text(sender.sender_address), "sender_proven": sender.sender_proven}


def _match(row: Row, *, proof: str) -> TokenMatch:
    return TokenMatch(
        position=row["place"],
        tenant=Tenant(id=row["tenant_id"], proof=proof, purpose=row["purpose"]),
        active=row["active"],
        over_budget=row["over_budget"],
        refused=row["refused"],
    )
