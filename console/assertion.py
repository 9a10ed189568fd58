"""The DMS's word for a tenant: a JSON Web Token, signed with the DMS's private key (RFC 7519, RFC 8725).

The console knows the public key only, so it can check assertions and never make one. `sub` is the tenant's id, `aud`
is AUDIENCE, and `exp` lies at most MAX_SECONDS after `iat`.
"""

from __future__ import annotations

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ingest.errors import SettingsError

AUDIENCE = "mail-entrance"
MAX_SECONDS = 300
CLOCK_SKEW_SECONDS = 60
MAX_LENGTH = 4096  # characters
SETTING = "INGEST_TENANT_ASSERTION_KEY"
_MIN_RSA_BITS = 2048


class Assertions:
    """Checks assertions with one public key."""

    def __init__(self, public_key: str) -> None:
        """`public_key`: PEM of an Ed25519 key, or of an RSA key with 2048 bits or more. Raises SettingsError."""
        try:
            key = load_pem_public_key(public_key.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise SettingsError([f"{SETTING} is no public key in PEM"]) from None
        if isinstance(key, Ed25519PublicKey):
            self._algorithm = "EdDSA"
        elif isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
            self._algorithm = "RS256"
        else:
            raise SettingsError([f"{SETTING} must be an Ed25519 key, or an RSA key with {_MIN_RSA_BITS} bits or more"])
        self._key = key

    def tenant(self, authorization: str) -> str | None:
        """Return the tenant's id as text from an Authorization header; None for anything but a valid assertion."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or len(token) > MAX_LENGTH:
            return None
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=AUDIENCE,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iat", "sub", "aud"]},
            )
        except jwt.InvalidTokenError:
            return None
        if claims["exp"] - claims["iat"] > MAX_SECONDS:
            return None
        tenant = claims["sub"]
        return tenant if isinstance(tenant, str) and tenant else None
