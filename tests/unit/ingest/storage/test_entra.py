"""When Postgres is signed in to by an Entra token, and what is said where there is none."""

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from ingest.storage import entra

AZURE = "postgresql://app@dms.postgres.database.azure.com:5432/dms?sslmode=require"


class Tokens:
    def __init__(self, token: str | None) -> None:
        self.asked: list[str] = []
        self._token = token

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.asked += scopes
        if self._token is None:
            raise ClientAuthenticationError(message="leaked: what each source said")
        return AccessToken(self._token, expires_on=0)


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        (AZURE, "https://ossrdbms-aad.database.windows.net/.default"),
        (AZURE.replace("azure.com", "usgovcloudapi.net"), "https://ossrdbms-aad.database.usgovcloudapi.net/.default"),
        (AZURE.replace("azure.com", "chinacloudapi.cn"), "https://ossrdbms-aad.database.chinacloudapi.cn/.default"),
        (AZURE.replace("dms.postgres", "DMS.Postgres"), "https://ossrdbms-aad.database.windows.net/.default"),
        (AZURE.replace("app@", "app:secret@"), None),
        ("postgresql://app@localhost:5432/dms", None),
        ("postgresql://app@postgres.database.azure.com.evil.example/dms", None),
        ("postgresql:///dms?host=/var/run/postgresql", None),
    ],
)
def test_a_server_of_azure_without_a_password_takes_a_token(url: str, scope: str | None) -> None:
    assert entra.scope(url) == scope


def test_the_token_is_the_password() -> None:
    tokens = Tokens("a token")
    assert entra.password(AZURE, tokens) == {"password": "a token"}
    assert tokens.asked == ["https://ossrdbms-aad.database.windows.net/.default"]


def test_no_token_is_asked_for_where_none_is_wanted() -> None:
    tokens = Tokens("a token")
    assert entra.password("postgresql://app:secret@localhost/dms", tokens) == {}
    assert tokens.asked == []


def test_a_refusal_is_an_error_of_the_connection_that_quotes_nothing() -> None:
    with pytest.raises(entra.SignInFailed) as refused:
        entra.password(AZURE, Tokens(None))
    assert "leaked" not in str(refused.value)
    assert refused.value.__cause__ is None
