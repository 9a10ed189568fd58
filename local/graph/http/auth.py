"""The part of Entra ID that MSAL needs for client credentials, and the check of the tokens it gives out."""

import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.x509 import load_pem_x509_certificate

from local.graph import clock
from local.graph.config import Config, FederatedCredential
from local.graph.http.errors import GraphError

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105 - the audience of a federated credential, no secret
_CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'client_id="00000003-0000-0000-c000-000000000000"'
)


class Tokens:
    """Access tokens: given out, checked, expired."""

    def __init__(self, lifetime: float) -> None:
        self.lifetime = lifetime
        self._expires: dict[str, float] = {}

    def issue(self) -> str:
        """Make a token that looks like the real ones: three parts, opaque to the client."""
        token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + ".".join(secrets.token_urlsafe(n) for n in (600, 256))
        self._expires[token] = time.monotonic() + self.lifetime
        return token

    def expire_all(self) -> int:
        """Every token given out so far is expired from now on; how many there were."""
        self._expires = dict.fromkeys(self._expires, 0.0)
        return len(self._expires)

    def check(self, authorization: str | None) -> None:
        """401 unless the header holds a token that is alive."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("Access token is empty.")
        expires = self._expires.get(token.strip())
        if expires is None:
            raise _unauthorized("IDX14100: JWT is not well formed, there are no dots (.).")
        if time.monotonic() >= expires:
            raise _unauthorized("Lifetime validation failed, the token is expired.")


class _Refusal(Exception):
    """The answer of the token endpoint to a request that it does not grant.

    https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    """

    def __init__(self, status: int, error: str, number: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.number = number
        self.description = description

    def answer(self) -> web.Response:
        """Write it as Entra ID does."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        moment = clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
        body = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.description} Trace ID: {trace} "
            f"Correlation ID: {correlation} Timestamp: {moment}",
            "error_codes": [self.number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return web.json_response(body, status=self.status)


class EntraId:
    """Discovery and token endpoints of one tenant with one registered app."""

    def __init__(self, config: Config, tokens: Tokens) -> None:
        self._config = config
        self._tokens = tokens
        self._certificate_key: Any = config.client_certificate and _public_key(config.client_certificate)
        self._federated = config.federated_credential
        self._federated_key: Any = self._federated and _public_key(self._federated.certificate)

    async def handle(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer, or None where the path is none of Entra's."""
        try:
            return await self._handle(request)
        except _Refusal as refusal:
            return refusal.answer()

    async def _handle(self, request: web.BaseRequest) -> web.Response | None:
        host = f"https://{request.host}"
        match request.path.strip("/").lower().split("/"):
            case ["common", "discovery", "instance"]:
                discovery = f"{host}/{self._config.tenant_id}/v2.0/.well-known/openid-configuration"
                return web.json_response({"tenant_discovery_endpoint": discovery, "api-version": "1.1", "metadata": []})
            case [tenant, "v2.0", ".well-known", "openid-configuration"]:
                self._check_tenant(tenant)
                return web.json_response(self._openid_configuration(host))
            case [tenant, "discovery", "v2.0", "keys"]:
                self._check_tenant(tenant)
                return web.json_response({"keys": []})
            case [tenant, "oauth2", "v2.0", "token"]:
                self._check_tenant(tenant)
                form = {key: str(value) for key, value in (await request.post()).items()}
                self._check_grant(form)
                self._check_credential(form, f"{host}{request.path}")
                return self._granted()
            case _:
                return None

    def _openid_configuration(self, host: str) -> dict[str, object]:
        base = f"{host}/{self._config.tenant_id}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() != self._config.tenant_id.lower():
            raise _Refusal(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")

    def _check_grant(self, form: Mapping[str, str]) -> None:
        scope, client_id = form.get("scope", ""), form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            raise _Refusal(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type; the simulator has only client_credentials.",
            )
        if not scope.endswith("/.default"):
            raise _Refusal(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {scope} is not valid. Client credential flows must have a "
                "scope value with /.default suffixed to the resource identifier.",
            )
        if client_id.lower() != self._config.client_id.lower():
            raise _Refusal(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory.",
            )

    def _check_credential(self, form: Mapping[str, str], endpoint: str) -> None:
        if "client_assertion" in form and self._federated is not None:
            self._check_federated(form["client_assertion"], self._federated)
        elif "client_assertion" in form:
            self._check_assertion(form, endpoint)
        elif not hmac.compare_digest(form.get("client_secret", "").encode(), self._config.client_secret.encode()):
            raise _Refusal(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                f"secret value, not the client secret ID, for a secret of app '{self._config.client_id}'.",
            )

    def _check_assertion(self, form: Mapping[str, str], endpoint: str) -> None:
        """Take a signed assertion instead of the secret, verified against the registered certificate.

        https://learn.microsoft.com/entra/identity-platform/certificate-credentials
        """
        if self._certificate_key is None or form.get("client_assertion_type") != _JWT_BEARER:
            raise _Refusal(
                401,
                "invalid_client",
                700027,
                "The certificate with identifier used to sign the client assertion is not registered on "
                "application. The simulator takes it from --client-certificate.",
            )
        try:
            claims = jwt.decode(
                form["client_assertion"],
                self._certificate_key,
                algorithms=["RS256", "PS256"],
                audience=endpoint,
                options={"require": ["exp", "iss", "sub", "aud", "jti"]},
            )
        except jwt.PyJWTError as error:
            raise _Refusal(401, "invalid_client", 700027, f"Client assertion failed validation: {error}") from error
        if not claims["iss"] == claims["sub"] == form.get("client_id"):
            raise _Refusal(401, "invalid_client", 700021, "Client assertion application identifier doesn't match.")

    def _check_federated(self, assertion: str, trusted: FederatedCredential) -> None:
        """Take the token of a trusted identity: issuer, subject and audience have to be those of the credential.

        https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations#errors
        """
        try:
            claims = jwt.decode(
                assertion,
                self._federated_key,
                algorithms=["RS256"],
                options={"require": ["exp", "iss", "sub", "aud"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise _Refusal(401, "invalid_client", 700024, "Client assertion is not within its valid time.") from error
        except jwt.PyJWTError as error:
            raise _Refusal(401, "invalid_client", 50027, f"JWT token is invalid or malformed: {error}") from error
        matched = "No matching federated identity record found for presented assertion"
        if claims["iss"] != trusted.issuer:
            raise _Refusal(401, "invalid_client", 700211, f"{matched} issuer '{claims['iss']}'.")
        if claims["aud"] != _TOKEN_EXCHANGE:
            raise _Refusal(401, "invalid_client", 700212, f"{matched} audience '{claims['aud']}'.")
        if claims["sub"] != trusted.subject:
            raise _Refusal(401, "invalid_client", 700213, f"{matched} subject '{claims['sub']}'.")

    def _granted(self) -> web.Response:
        lifetime = int(self._tokens.lifetime)
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": self._tokens.issue(),
            },
            headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"},
        )


def _public_key(certificate: Path) -> Any:  # noqa: ANN401 - its type follows from the certificate
    return load_pem_x509_certificate(certificate.read_bytes()).public_key()


def _unauthorized(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, headers={"WWW-Authenticate": _CHALLENGE})
