"""Certificates of a test's own."""

from __future__ import annotations

import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import load_pem_x509_certificate


def self_signed() -> tuple[bytes, bytes, str]:
    """A certificate, its key and its SHA-1 thumbprint, as an administrator would upload it."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("app.example", key_type=trustme.KeyType.RSA)
    pem = issued.cert_chain_pems[0].bytes()
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    thumbprint = load_pem_x509_certificate(pem).fingerprint(hashes.SHA1()).hex()  # noqa: S303 - Entra ID's own name for it
    return pem, private, thumbprint
