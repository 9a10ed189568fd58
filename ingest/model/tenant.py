"""A tenant of the DMS, and the token that leads to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """A tenant of the DMS. `id` has the type of `dms_tenant.id` in the database at hand.

    `proof`: the token, or old address, of the mail that led to the tenant. Postgres opens the tenant's context against
    this proof; None where an operator assigned the mail. `purpose`: of the upload address with this token, such as
    `incoming`; None for most addresses.
    """

    id: int | UUID
    proof: str | None = field(default=None, repr=False, compare=False)
    purpose: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenMatch:
    """A token that belongs to a tenant: `position` is its index in the candidates that were asked for.

    `refused`: the list of allowed senders sends this sender's mail to Quarantine.
    """

    position: int
    tenant: Tenant
    active: bool
    over_budget: bool = False
    refused: bool = False
