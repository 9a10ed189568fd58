"""The settings alone decide the identity by which the app signs in to Graph."""

import pytest

from ingest import wiring
from ingest.graph.credentials import ClientCredentials
from ingest.graph.identity import ManagedIdentity
from ingest.settings import Settings
from tests.fakes.values import ENVIRONMENT

CLIENT_ID = ENVIRONMENT["AZURE_INGEST_CLIENT_ID"]
NO_SECRET = {"AZURE_INGEST_CLIENT_SECRET": ""}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ClientCredentials),
        ({"AZURE_CLIENT_ID": CLIENT_ID}, ClientCredentials),  # a secret that is set goes before the identity
        ({**NO_SECRET, "AZURE_INGEST_CLIENT_CERTIFICATE": "app.pem", "AZURE_CLIENT_ID": CLIENT_ID}, ClientCredentials),
        ({**NO_SECRET, "AZURE_CLIENT_ID": CLIENT_ID}, ManagedIdentity),
        ({**NO_SECRET, "AZURE_CLIENT_ID": "another"}, ClientCredentials),  # by a federated credential
    ],
)
def test_the_settings_choose_the_identity(changed: dict[str, str], expected: type) -> None:
    settings = Settings.from_env({**ENVIRONMENT, **changed})
    assert type(wiring.credentials(settings)) is expected
