"""The platform's managed identity: tokens without a secret of our own.

https://learn.microsoft.com/entra/msal/python/advanced/managed-identity
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

from typing import Any, override

import msal
import requests

from ingest import log
from ingest.errors import GraphUnavailable
from ingest.graph.shared_attempt import SharedAttempt

# What a federated credential of an app registration accepts as its assertion.
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105 - a resource, not a secret
TIMEOUT_SECONDS = 30.0  # of one request to the platform's token endpoint


class ManagedIdentity:
    """A user-assigned managed identity as a source of tokens for one resource.

    One MSAL client per object; tokens stay in the client's memory.
    """

    def __init__(self, *, client_id: str, resource: str, session: requests.Session | None = None) -> None:
        """`client_id`: of the identity. `resource`: whom the tokens are for. `session`: carries the requests."""
        self._identity = msal.UserAssignedManagedIdentity(client_id=client_id)
        self._resource = resource
        self._session = session or TimedSession()
        self._client: msal.ManagedIdentityClient | None = None
        self._attempt = SharedAttempt()

    def token(self) -> str:
        """Return a valid token, from the cache or new. Raises GraphUnavailable with the platform's error code."""
        with self._attempt.turn():
            if self._client is None:
                self._client = msal.ManagedIdentityClient(self._identity, http_client=self._session)
            try:
                result = self._client.acquire_token_for_client(resource=self._resource)
            except (OSError, ValueError, msal.ManagedIdentityError, requests.RequestException) as error:
                raise GraphUnavailable(f"managed identity: {log.describe(error)}") from None
        token = result.get("access_token") if isinstance(result, dict) else None
        if not isinstance(token, str):
            code = result.get("error") if isinstance(result, dict) else None
            raise GraphUnavailable(f"managed identity: the platform gives no token ({code or 'no error code'})")
        return token

    def forget(self) -> None:
        """Empty the cache, so that the next `token` asks the platform again."""
        with self._attempt.turn():
            self._client = None


class TimedSession(requests.Session):
    """A session with a time limit for each request: MSAL sets none for a managed identity."""

    @override
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", TIMEOUT_SECONDS)
        return super().request(*args, **kwargs)
