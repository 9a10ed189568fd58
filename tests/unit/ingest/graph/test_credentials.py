"""The token endpoint's troubles are configuration or outage, never a mail's fault."""

import pytest

from ingest.errors import GraphUnavailable
from ingest.graph.credentials import ClientCredentials
from tests.fakes.graph_endpoint import BASE_URL


def test_a_certificate_that_can_not_be_read_is_not_this_mails_fault(tmp_path: object) -> None:
    credentials = ClientCredentials(
        client_id="app",
        tenant_id="tenant",
        authority_host="https://login.example",
        graph_base_url=BASE_URL,
        secret=None,
        certificate=f"{tmp_path}/missing.pem",
    )
    with pytest.raises(GraphUnavailable, match="AZURE_INGEST_CLIENT_CERTIFICATE can't be read"):
        credentials.token()
