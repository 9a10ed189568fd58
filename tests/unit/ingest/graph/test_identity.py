"""Tokens of a managed identity, from the endpoint that Functions offers to an app."""

import io
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter

from ingest.errors import GraphUnavailable
from ingest.graph.identity import TIMEOUT_SECONDS, ManagedIdentity, TimedSession

CLIENT_ID = "0f6c0000-0000-0000-0000-000000000000"
RESOURCE = "https://graph.microsoft.com"
GIVEN = {"access_token": "a token", "expires_on": "4102444800", "resource": RESOURCE, "token_type": "Bearer"}


class Platform(BaseAdapter):
    """The platform's token endpoint, in the place of the network."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.timeouts: list[object] = []
        self._status, self._body = status, body

    def send(
        self, request: requests.PreparedRequest, *_: object, timeout: object = None, **__: object
    ) -> requests.Response:
        self.asked.append(dict(parse_qsl(urlsplit(request.url or "").query)))
        self.timeouts.append(timeout)
        response = requests.Response()
        response.status_code, response.request = self._status, request
        response.raw = io.BytesIO(json.dumps(self._body).encode())
        return response

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:41234/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header of the platform")


def identity(platform: Platform) -> ManagedIdentity:
    session = TimedSession()
    session.mount("http://", platform)
    return ManagedIdentity(client_id=CLIENT_ID, resource=RESOURCE, session=session)


def test_a_token_is_asked_for_once_and_kept() -> None:
    platform = Platform(200, GIVEN)
    source = identity(platform)
    assert source.token() == source.token() == "a token"
    assert platform.asked == [{"api-version": "2019-08-01", "resource": RESOURCE, "client_id": CLIENT_ID}]


def test_a_forgotten_token_is_asked_for_again() -> None:
    platform = Platform(200, GIVEN)
    source = identity(platform)
    source.token()
    source.forget()
    source.token()
    assert len(platform.asked) == 2


def test_a_refusal_is_later_and_named_by_its_code() -> None:
    source = identity(Platform(400, {"statusCode": 400, "message": "leaked: the identity is unknown"}))
    with pytest.raises(GraphUnavailable, match="managed identity") as refused:
        source.token()
    assert "leaked" not in str(refused.value)


def test_a_request_to_the_platform_ends() -> None:
    platform = Platform(200, GIVEN)
    identity(platform).token()
    assert platform.timeouts == [TIMEOUT_SECONDS]
