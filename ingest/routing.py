"""Recipients → tokens → tenants. All but `route`, which asks the database, is pure.

Only addresses route. Display names, subject and sender never do: any stranger can write them. No header shows BCC
recipients, so that a mail which came by BCC alone has no token, unless a server wrote the recipient into its Received
header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice

from ingest.codes import PassedOver, Reason
from ingest.errors import IngestError, Rejected
from ingest.model.message import Authentication, Message
from ingest.model.tenant import Tenant, TokenMatch
from ingest.ports import Tenants
from ingest.settings import RouteMode

MOST_PASSED_OVER = 50  # addresses of one mail that are noted; a mail may name thousands


class TurnAwaited(IngestError):
    """The tenants of a mail have had their budget of the hour: the mail waits for the turn of `tenant`, the first.

    `sender`: the proven one: its mails wait in a line of their own. None for all others.
    """

    def __init__(self, tenant: Tenant, sender: str | None) -> None:
        super().__init__("the tenants have had their budget of the hour")
        self.tenant = tenant
        self.sender = sender


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressing:
    """The form of upload addresses, and which of the tenants that a mail names get the mail.

    `pattern` has a group `token`. `domains`: only addresses of these lower-case domains count; empty means any.
    """

    pattern: re.Pattern[str]
    domains: AbstractSet[str] = frozenset()
    route: RouteMode = RouteMode.FIRST


def normal_token(token: str) -> str:
    """Return a token in the form that is compared: lower case, without the dashes of a UUID."""
    return token.lower().replace("-", "")


def token_of(address: str, pattern: re.Pattern[str]) -> str | None:
    """Return the normalised token in an address; None where the address has none."""
    match = pattern.search(address)
    return normal_token(match["token"] or "") or None if match else None


def candidate_tokens(message: Message, addressing: Addressing) -> tuple[str, ...]:
    """Return the distinct tokens of a mail, normalised, in the order in which they count.

    Tokens of all To and then of all Cc recipients, in the message's order. A redirect leaves To and Cc as they were
    and writes the copy's own recipient into another header: such tokens count where To and Cc hold none. Where every
    tenant gets a copy, they count as well, after the others. A token proves the same in any header.
    """
    named = _tokens((*message.to, *message.cc), addressing)
    if named and addressing.route is RouteMode.FIRST:
        return named
    return tuple(dict.fromkeys((*named, *_tokens(message.redirected_to, addressing))))


def _tokens(addresses: Iterable[str], addressing: Addressing) -> tuple[str, ...]:
    tokens: dict[str, None] = {}
    for address in addresses:
        if addressing.domains and address.rpartition("@")[2].lower() not in addressing.domains:
            continue
        token = token_of(address, addressing.pattern)
        if token is not None:
            tokens[token] = None
    return tuple(tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """The tenants of a mail's addresses, by the database: the matches in the order in which they count.

    `candidates`: the tokens; without tokens, the addresses that may be old ones of a tenant.
    """

    candidates: tuple[str, ...] = field(repr=False)
    by_token: bool
    matches: tuple[TokenMatch, ...]
    mode: RouteMode


def resolve(message: Message, addressing: Addressing, tenants: Tenants) -> Resolved:
    """Ask the database for the tenants of a mail's addresses. Raises DatabaseUnavailable.

    Old addresses of several tenants route to all of them: no header says which tenant's mailbox redirected this copy.
    """
    candidates, mode = candidate_tokens(message, addressing), addressing.route
    by_token = bool(candidates)
    if by_token:
        matches = tenants.resolve_tokens(candidates, message.authentication)
    else:  # the mail was redirected, and no header kept the token
        candidates, mode = (*message.to, *message.cc), RouteMode.ALL
        matches = tenants.resolve_addresses(candidates, message.authentication)
    in_order = tuple(sorted(matches, key=lambda match: match.position))
    return Resolved(candidates=candidates, by_token=by_token, matches=in_order, mode=mode)


def choose_tenants(resolved: Resolved) -> tuple[Tenant, ...]:
    """Return the tenants that get the mail, at least one. A token of no tenant does not stop the search.

    Raises Rejected: no_token (no candidate, nor a match), unknown_token (no tenant has any), tenant_inactive (all
    switched off).
    """
    if active := _active(resolved):
        return active
    if resolved.matches:
        raise Rejected(Reason.TENANT_INACTIVE)
    raise Rejected(Reason.UNKNOWN_TOKEN if resolved.by_token else Reason.NO_TOKEN)


def passed_over(resolved: Resolved) -> dict[str, PassedOver]:
    """Return the tokens and old addresses that bring no copy, at most MOST_PASSED_OVER, each with the reason."""
    found = {match.position: match for match in resolved.matches}
    chosen = _active(resolved)
    whys: dict[str, PassedOver] = {}
    for position, candidate in enumerate(resolved.candidates, start=1):
        match = found.get(position)
        if match is None:
            if resolved.by_token:  # any other address in To is no upload address
                whys[candidate] = PassedOver.UNKNOWN_TOKEN
        elif match.tenant not in chosen:
            whys[candidate] = PassedOver.ANOTHER_TENANT_FIRST if match.active else PassedOver.TENANT_INACTIVE
    return dict(islice(whys.items(), MOST_PASSED_OVER))


def attributed(resolved: Resolved) -> tuple[Tenant, ...]:
    """Return the tenants that a rejected mail was for: the chosen ones, else those that are switched off."""
    return _active(resolved) or _chosen(resolved.matches, resolved.mode)


def _active(resolved: Resolved) -> tuple[Tenant, ...]:
    return _chosen((match for match in resolved.matches if match.active), resolved.mode)


def _chosen(matches: Iterable[TokenMatch], mode: RouteMode) -> tuple[Tenant, ...]:
    tenants = tuple(dict.fromkeys(match.tenant for match in matches))
    return tenants if mode is RouteMode.ALL else tenants[:1]


def check_sender(tenants: Sequence[Tenant], resolved: Resolved) -> None:
    """Raise Rejected(sender_not_allowed) where every one of the chosen tenants sends the sender's mail to Quarantine.

    Of several addresses of one tenant the one named first decides. Where another tenant lets the sender in, Postgres
    holds the refusing tenant's copy in its waiting room.
    """
    first = {match.tenant: match for match in reversed(resolved.matches) if match.active}
    if all(first[tenant].refused for tenant in tenants):
        raise Rejected(Reason.SENDER_NOT_ALLOWED)


def await_turn(tenants: Sequence[Tenant], matches: Iterable[TokenMatch], sender: Authentication) -> None:
    """Raise TurnAwaited where every one of the chosen tenants has had its budget.

    A mail that also goes to a tenant within its budget does not wait: its other tenants are charged all the same.
    """
    over = {match.tenant for match in matches if match.over_budget}
    if over.issuperset(tenants):
        # A stranger can write any address into From: without a proof, a flood would have as many lines as it likes.
        raise TurnAwaited(tenants[0], sender.sender_address if sender.sender_proven else None)
