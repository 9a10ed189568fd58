"""When the credential ends, for the alert before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingest.settings import Settings
from subscriptions.report import credential_end
from tests.fakes.values import ENVIRONMENT, NOON

NO_SECRET = {"AZURE_INGEST_CLIENT_SECRET": ""}


def end(**changed: str) -> datetime | None:
    return credential_end(Settings.from_env({**ENVIRONMENT, **changed}))


def test_a_secret_ends_with_its_last_day() -> None:
    expires = {"AZURE_INGEST_CLIENT_SECRET_EXPIRES": "2027-01-31"}
    assert end(**expires) == datetime(2027, 2, 1, tzinfo=UTC)


def test_nothing_is_said_of_what_is_not_known_or_has_no_end() -> None:
    assert end() is None
    assert end(**NO_SECRET, AZURE_CLIENT_ID="0f6c") is None


def test_a_certificate_says_itself_when_it_ends(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail ingest")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOON - timedelta(days=1))
        .not_valid_after(NOON)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "app.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    assert end(**NO_SECRET, AZURE_INGEST_CLIENT_CERTIFICATE=str(pem)) == NOON
