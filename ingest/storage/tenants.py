"""Tenants as the app sees them: the owner of a token, and the context in which rows are one tenant's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ingest.model import Claim, Tenant, TokenMatch
from ingest.storage.database import Connection, Database


class Tenants:
    """The tenants of one database. The app's role cannot list them: it resolves tokens, and enters contexts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._current: ContextVar[Tenant | None] = ContextVar("current_tenant", default=None)

    RESOLVE = "select place, tenant_id, active from ingest.resolve_tokens(%(tokens)s)"

    def resolve_tokens(self, tokens: Sequence[str]) -> list[TokenMatch]:
        """Return a match for each (normalised) token that belongs to a tenant. Raises DatabaseUnavailable."""
        rows = self._database.all("resolve_tokens", self.RESOLVE, tokens=list(tokens))
        return [
            TokenMatch(
                position=row["place"],
                tenant=Tenant(id=row["tenant_id"], proof=tokens[row["place"] - 1]),
                active=row["active"],
            )
            for row in rows
        ]

    @contextmanager
    def tenant_context(self, tenant: Tenant) -> Iterator[None]:
        """Make `tenant` the one whose rows are written and visible in this block, in this thread.

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
