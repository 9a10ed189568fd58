"""Recipients → tokens → tenants. Pure: who the tokens belong to is asked by the caller in between.

Only addresses route: display names, subject and sender never do, as any stranger writes them as he likes. BCC
recipients do not exist in what Graph shows, so a mail that reached us by BCC alone has no token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from ingest.codes import Reason
from ingest.errors import Rejected
from ingest.model import Message, Tenant, TokenMatch
from ingest.settings import RouteMode


def normal_token(token: str) -> str:
    """A token as it is compared: mail addresses know no case, and a UUID routes with and without dashes."""
    return token.lower().replace("-", "")


def token_of(address: str, pattern: re.Pattern[str]) -> str | None:
    """The token that an address names, normalised; None where it names none."""
    match = pattern.search(address)
    return normal_token(match["token"] or "") or None if match else None


def candidate_tokens(
    message: Message, pattern: re.Pattern[str], domains: AbstractSet[str] = frozenset()
) -> tuple[str, ...]:
    """The distinct tokens among all To and then all Cc recipients, normalised, in the order they were named.

    `domains`: only addresses of these (lower-case) domains count; empty means any.
    """
    tokens: dict[str, None] = {}
    for address in (*message.to, *message.cc):
        if domains and address.rpartition("@")[2].lower() not in domains:
            continue
        token = token_of(address, pattern)
        if token is not None:
            tokens[token] = None
    return tuple(tokens)


def choose_tenants(tokens: Sequence[str], matches: Iterable[TokenMatch], mode: RouteMode) -> tuple[Tenant, ...]:
    """The tenants that get the mail, at least one. A token nobody has does not stop the search.

    Raises Rejected: no_token (no candidate), unknown_token (nobody's), tenant_inactive (only switched-off ones).
    """
    if not tokens:
        raise Rejected(Reason.NO_TOKEN)
    known = sorted(matches, key=lambda match: match.position)
    active = tuple(dict.fromkeys(match.tenant for match in known if match.active))
    if active:
        return active if mode is RouteMode.ALL else active[:1]
    raise Rejected(Reason.TENANT_INACTIVE if known else Reason.UNKNOWN_TOKEN)
