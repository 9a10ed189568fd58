"""Entra tokens for Postgres, Blob and Communication Services: one credential per process.

https://learn.microsoft.com/azure/postgresql/security/security-entra-configure
https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ingest import log
from ingest.errors import Later

if TYPE_CHECKING:  # half a second of imports, which a command without Entra is spared
    from azure.core.credentials import TokenCredential

# The domains of Azure Database for PostgreSQL in each cloud, and the scope of a token for it.
_SCOPES = {
    ".postgres.database.azure.com": "https://ossrdbms-aad.database.windows.net/.default",
    ".postgres.database.usgovcloudapi.net": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
    ".postgres.database.chinacloudapi.cn": "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
}


_COMMUNICATION = "https://communication.azure.com/.default"


class SignInFailed(psycopg.OperationalError):
    """Entra gives no token for Postgres."""


@cache
def credential() -> TokenCredential:
    """Return the managed identity on Azure (AZURE_CLIENT_ID), the signed-in person elsewhere."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - see above

    return DefaultAzureCredential()


def communication_token() -> str:
    """Return a token for Azure Communication Services. Raises Later."""
    try:
        return credential().get_token(_COMMUNICATION).token
    except Exception as error:  # noqa: BLE001 - the credential's own errors quote what each of its sources said
        raise Later(f"Entra gives no token for Communication Services ({log.describe(error)})") from None


def scope(database_url: str) -> str | None:
    """Return the scope of the token that signs in to this database; None where a password or nothing does.

    A server of Azure that is named without a password takes a token: it accepts nothing else.
    """
    given = conninfo_to_dict(database_url)
    if given.get("password"):
        return None
    host = str(given.get("host") or "").lower()
    return next((scope for domain, scope in _SCOPES.items() if host.endswith(domain)), None)


def password(database_url: str, tokens: TokenCredential | None = None) -> dict[str, str]:
    """Return the token as a connection parameter, empty where none is wanted. Raises SignInFailed.

    Azure's library caches the token and renews it before it ends; a connection outlives the token that opened it.
    """
    wanted = scope(database_url)
    if wanted is None:
        return {}
    try:
        return {"password": (tokens or credential()).get_token(wanted).token}
    except Exception as error:  # noqa: BLE001 - the credential's own errors quote what each of its sources said
        raise SignInFailed(f"Entra gives no token for Postgres ({log.describe(error)})") from None
