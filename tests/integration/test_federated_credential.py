"""A managed identity in the place of a secret, at the simulator's token endpoint: accepted, or refused by name."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from checks.app import CHECKS
from checks.examination import CheckContext, Finding, Status, examine
from ingest import wiring
from ingest.graph.client import GraphClient
from ingest.settings import Settings
from local.graph.process import Simulator, running_simulator
from tests.fakes.values import ENVIRONMENT
from tests.integration.certificates import self_signed

MAILBOX = "upload@dms.example"
IDENTITY = "8c4f3a52-0000-4000-8000-000000000001"  # the client id of the identity
ISSUER, SUBJECT = "https://login.example/tenant/v2.0", "8c4f3a52-0000-4000-8000-000000000002"
HEADER = "of-the-platform"


@dataclass(kw_only=True)
class Platform:
    """The endpoint of App Service that gives tokens of the managed identity.

    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """

    key: str = field(repr=False)
    url: str = ""
    claims: Mapping[str, object] = field(default_factory=dict)  # in the place of the right ones
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, query: dict[str, list[str]]) -> dict[str, object]:
        self.asked.append(query)
        now = int(time.time())
        right = {"iss": ISSUER, "sub": SUBJECT, "aud": query["resource"][0], "exp": now + 3600}
        token = jwt.encode({**right, **self.claims}, self.key, algorithm="RS256")
        return {
            "access_token": token,
            "expires_on": str(now + 3600),
            "resource": query["resource"][0],
            "token_type": "Bearer",
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """The simulator, the platform and the certificate of the platform's key."""

    simulator: Simulator
    platform: Platform


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    certificate, key, _ = self_signed()
    folder = tmp_path_factory.mktemp("federated")
    pem = folder / "issuer.pem"
    pem.write_bytes(certificate)
    platform = Platform(key=key.decode())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right = self.headers["X-IDENTITY-HEADER"] == HEADER
            body = json.dumps(platform.answer(parse_qs(urlsplit(self.path).query)) if right else {}).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    trusted = ("--federated-credential", ISSUER, SUBJECT, str(pem))
    with (
        HTTPServer(("127.0.0.1", 0), Handler) as server,
        running_simulator(folder / "data", [MAILBOX], *trusted) as one,
    ):
        platform.url = f"http://127.0.0.1:{server.server_port}/msi/token"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield World(simulator=one, platform=platform)
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(world: World, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The settings of an app without any secret; the platform's variables are in the process's own environment."""
    world.platform.claims = {}
    world.platform.asked.clear()
    endpoint, identity = world.simulator.endpoint, world.simulator.identity
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.platform.url)
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(endpoint.ca_file))
    return {
        **ENVIRONMENT,
        "AZURE_INGEST_CLIENT_ID": identity.client_id,
        "AZURE_INGEST_TENANT_ID": identity.tenant_id,
        "AZURE_INGEST_CLIENT_SECRET": "",
        "AZURE_INGEST_MAILBOX": MAILBOX,
        "AZURE_CLIENT_ID": IDENTITY,
        "AZURE_AUTHORITY_HOST": endpoint.authority_host,
        "GRAPH_BASE_URL": endpoint.graph_base_url,
    }


def token_check(environment: Mapping[str, str]) -> Finding:
    with CheckContext(environ=environment) as context:
        wanted = [one for one in CHECKS if one.name in {"settings", "token"}]
        return next(found for found in examine(context, wanted) if found.check == "token")


def test_graph_takes_the_token_that_the_identity_was_exchanged_for(
    world: World, environment: Mapping[str, str]
) -> None:
    settings = Settings.from_env(environment)
    client = GraphClient(base_url=settings.graph_base_url, tokens=wiring.credentials(settings))
    try:
        inbox = client.request("get_inbox", "GET", f"/users/{MAILBOX}/mailFolders/inbox").body
    finally:
        client.close()
    assert inbox["displayName"] == "Inbox"
    (asked,) = world.platform.asked
    assert asked["resource"] == ["api://AzureADTokenExchange"]
    assert asked["client_id"] == [IDENTITY]


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://login.example/other/v2.0"}, "AADSTS700211"),
        ({"aud": "https://graph.microsoft.com"}, "AADSTS700212"),
        ({"sub": "another identity"}, "AADSTS700213"),
    ],
    ids=["issuer", "audience", "subject"],
)
def test_an_identity_that_is_not_trusted_is_refused_and_doctor_says_what_to_do(
    world: World, environment: Mapping[str, str], claims: Mapping[str, str], code: str
) -> None:
    world.platform.claims = claims
    found = token_check(environment)
    assert (found.status, code in found.said) == (Status.FAILED, True), found
    assert "federated credential" in str(found.advice)


def test_a_platform_without_the_identity_is_named(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "of another app")
    found = token_check(environment)
    assert (found.status, "managed identity" in found.said) == (Status.FAILED, True), found


def test_an_expired_assertion_opens_nothing(world: World, environment: Mapping[str, str]) -> None:
    world.platform.claims = {"exp": int(time.time()) - 600}
    assert "AADSTS700024" in token_check(environment).said
