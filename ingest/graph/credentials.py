"""The app's own identity: bearer tokens for Graph by client credentials.

The only importer of msal. https://learn.microsoft.com/entra/msal/python/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msal
import requests

from ingest import log
from ingest.errors import GraphUnavailable
from ingest.graph.shared_attempt import SharedAttempt

TIMEOUT_SECONDS = 30.0  # of one request to the token endpoint
# MSAL searches its cache with each call. A token that comes from there is valid for five minutes more.
KEPT_SECONDS = 60.0


class ClientCredentials:
    """The app's service principal, by MSAL: one client per process, tokens in the client's memory and nowhere else.

    With a certificate, `certificate` is the path of a PEM that holds the private key and the certificate. With a
    federated credential, `assertion` returns a token of the identity that the app registration trusts.
    """

    def __init__(
        self,
        *,
        client_id: str,
        tenant_id: str,
        authority_host: str,
        graph_base_url: str,
        secret: str | None,
        certificate: str | None,
        assertion: Callable[[], str] | None = None,
    ) -> None:
        parts = urlsplit(graph_base_url)
        self._scopes = [f"{parts.scheme}://{parts.netloc}/.default"]
        self._client_id = client_id
        self._authority = f"{authority_host}/{tenant_id}"
        self._secret = secret
        self._certificate = certificate
        self._assertion = assertion
        self._client: msal.ConfidentialClientApplication | None = None
        self._kept: tuple[str, float] | None = None  # a token, and until when MSAL is not asked for another
        self._attempt = SharedAttempt()

    def token(self) -> str:
        """Return a valid token, from the cache or new. Raises GraphUnavailable with Entra's error code."""
        with self._attempt.turn():
            now = time.monotonic()
            if self._kept is None or now >= self._kept[1]:
                self._kept = (self._acquire(), now + KEPT_SECONDS)
            return self._kept[0]

    def _acquire(self) -> str:
        try:
            if self._client is None:
                self._client = self._new_client()
            result = self._client.acquire_token_for_client(self._scopes)
        except (OSError, ValueError, requests.RequestException) as error:
            # MSAL raises ValueError where the authority's configuration is not readable.
            raise GraphUnavailable(f"token endpoint: {log.describe(error)}") from None
        token = result.get("access_token") if isinstance(result, dict) else None
        if not isinstance(token, str):
            raise GraphUnavailable(_token_error(result))
        return token

    def forget(self) -> None:
        """Empty the caches, so that the next `token` is a fresh one."""
        with self._attempt.turn():
            self._kept = None
            if self._client is not None:
                self._client.remove_tokens_for_client()

    def _new_client(self) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            self._client_id,
            client_credential=self._credential(),
            authority=self._authority,
            # The settings name the authority. MSAL's discovery would ask Microsoft's public cloud about the
            # authority, which fails for other clouds and for local endpoints.
            instance_discovery=False,
            timeout=TIMEOUT_SECONDS,
        )

    def _credential(self) -> str | dict[str, str] | dict[str, Callable[[], str]]:
        if self._assertion is not None:
            return {"client_assertion": self._assertion}  # MSAL calls for a fresh one with each new token
        if self._certificate is None:
            return self._secret or ""
        try:
            pem = Path(self._certificate).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise GraphUnavailable(f"AZURE_INGEST_CLIENT_CERTIFICATE can't be read: {log.describe(error)}") from None
        return {"private_key": pem, "public_certificate": pem}


def _token_error(result: object) -> str:
    """Describe Entra's refusal by its codes. Entra's descriptions quote ids and stay in Entra's own log."""
    fields = result if isinstance(result, dict) else {}
    codes = ", ".join(f"AADSTS{code}" for code in fields.get("error_codes", ()))
    return (
        f"token endpoint refused the app: {fields.get('error', 'no access_token')}"
        f"{f' ({codes})' if codes else ''}, correlation id {fields.get('correlation_id', 'unknown')}"
    )
