"""A tenant's own history: what an assertion proves, and what it can never open."""

import re
import time
from dataclasses import replace
from http import HTTPStatus

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import escape
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from console.access import LoopbackAccess
from console.app import build
from console.assertion import AUDIENCE, MAX_SECONDS, Assertions
from console.language import texts
from ingest.codes import Reason
from ingest.errors import SettingsError
from operations.mails.tenant_history import TenantMail
from tests.fakes.console_service import NOON, FakeService

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ROUTES = ("/tenant/history", "/tenant/history.html")


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    return {"sub": "42", "aud": AUDIENCE, "iat": now, "exp": now + 60, **changes}


def signed(key: Ed25519PrivateKey = KEY, **changes: object) -> str:
    return f"Bearer {jwt.encode(claims(**changes), key, algorithm='EdDSA')}"


def mail_of(tenant: int, reason: Reason | None = None) -> TenantMail:
    return TenantMail(
        tenant_id=tenant,
        number=tenant,
        received_at=NOON,
        stored_at=NOON if reason is None else None,
        sender=f"supplier@of-{tenant}.example",
        subject=f"Secret of {tenant}",
        documents=1 if reason is None else 0,
        withheld=0,
        state="stored" if reason is None else "quarantined",
        reason=reason,
    )


@pytest.fixture(scope="module")
def client() -> TestClient:
    service = FakeService(own=[mail_of(tenant) for tenant in range(40, 45)])
    return TestClient(
        build(service, LoopbackAccess("anna"), assertions=Assertions(PUBLIC)), base_url="https://console.example"
    )


@pytest.mark.parametrize("route", ROUTES)
@given(tenant=st.integers(min_value=40, max_value=44), query=st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_an_assertion_opens_its_own_tenant_and_no_other(
    client: TestClient, route: str, tenant: int, query: str
) -> None:
    answer = client.get(route, params={"q": query}, headers={"authorization": signed(sub=str(tenant))})
    assert answer.status_code == HTTPStatus.OK
    assert not any(f"Secret of {other}" in answer.text for other in range(40, 45) if other != tenant)


def test_the_history_has_words_for_laypeople(client: TestClient) -> None:
    headers = {"authorization": signed(), "accept-language": "de"}
    (mail,) = client.get("/tenant/history", headers=headers).json()["mails"]
    assert (mail["subject"], mail["state_in_words"]) == ("Secret of 42", "angekommen")
    assert "angekommen" in client.get("/tenant/history.html", headers=headers).text


def test_the_history_says_how_many_documents_the_virus_check_keeps_back() -> None:
    service = FakeService(own=[replace(mail_of(42), withheld=2)])
    client = TestClient(
        build(service, LoopbackAccess("anna"), assertions=Assertions(PUBLIC)), base_url="https://console.example"
    )
    headers = {"authorization": signed(), "accept-language": "de"}
    (mail,) = client.get("/tenant/history", headers=headers).json()["mails"]
    words = "angekommen, von der Virenprüfung zurückgehalten: 2"
    assert (mail["withheld"], mail["state_in_words"]) == (2, words)
    assert words in client.get("/tenant/history.html", headers=headers).text


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize(("language", "state"), [("de", "nicht übernommen"), ("en", "not taken over")])
def test_a_rejected_mail_is_there_with_its_reason_in_words(reason: Reason, language: str, state: str) -> None:
    client = TestClient(
        build(FakeService(own=[mail_of(42, reason)]), LoopbackAccess("anna"), assertions=Assertions(PUBLIC))
    )
    headers = {"authorization": signed(), "accept-language": language}
    (mail,) = client.get("/tenant/history", headers=headers).json()["mails"]
    assert (mail["state"], mail["reason"], mail["state_in_words"]) == ("quarantined", reason, state)
    assert mail["reason_in_words"] == texts(language)[f"tenant_history.reason.{reason}"]
    assert escape(mail["reason_in_words"]) in client.get("/tenant/history.html", headers=headers).text


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer ",
        "Bearer x.y.z",
        "Basic NDI6",
        signed(Ed25519PrivateKey.generate()),
        signed(aud="another"),
        signed(exp=int(time.time()) - 3600),
        signed(exp=int(time.time()) + MAX_SECONDS + 100),
        signed(sub=""),
        f"Bearer {jwt.encode(claims(), '', algorithm='none')}",
        f"Bearer {jwt.encode(claims(), 'a' * 32, algorithm='HS256')}",
    ],
    ids=[
        "none",
        "empty",
        "rubbish",
        "basic",
        "other key",
        "audience",
        "expired",
        "too long",
        "nobody",
        "alg none",
        "hmac",
    ],
)
def test_anything_else_opens_nothing(client: TestClient, route: str, authorization: str) -> None:
    answer = client.get(route, headers={"authorization": authorization})
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert "Secret" not in answer.text


def test_without_a_key_nothing_is_served() -> None:
    client = TestClient(build(FakeService(own=[mail_of(42)]), LoopbackAccess("anna")))
    assert client.get("/tenant/history", headers={"authorization": signed()}).status_code == HTTPStatus.UNAUTHORIZED


def paths_of(app: Starlette) -> list[str]:
    """Every path of the application, each parameter filled in; files of the page itself left out."""
    return [re.sub(r"\{\w+(:int)?\}", "1", route.path) for route in app.routes if isinstance(route, Route)]


def test_an_assertion_opens_no_page_of_the_operators(client: TestClient) -> None:
    app = build(FakeService(own=[mail_of(42)]), LoopbackAccess("anna"), assertions=Assertions(PUBLIC))
    closed = [path for path in paths_of(app) if path not in {*ROUTES, "/enter", "/language/1", "/content/1"}]
    assert len(closed) >= 10
    for path in closed:
        for method in ("GET", "POST"):
            answer = client.request(
                method, path, headers={"authorization": signed(), "origin": "https://console.example"}
            )
            assert answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.METHOD_NOT_ALLOWED}, path
            assert "Secret" not in answer.text


@given(data=st.data(), tenant=st.integers(min_value=40, max_value=44), query=st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_no_route_shows_an_assertion_another_tenants_mail(data: st.DataObject, tenant: int, query: str) -> None:
    service = FakeService(own=[mail_of(one) for one in range(40, 45)])
    app = build(service, LoopbackAccess("anna"), assertions=Assertions(PUBLIC))
    client = TestClient(app, base_url="https://console.example", follow_redirects=False)
    path = data.draw(st.sampled_from(paths_of(app)))
    parameters = {"q": query, **dict.fromkeys(("tenant", "tenant_id", "sub"), str(data.draw(st.integers(40, 44))))}
    answer = client.get(path, params=parameters, headers={"authorization": signed(sub=str(tenant))})
    others = [other for other in range(40, 45) if other != tenant]
    assert not any(f"Secret of {other}" in answer.text for other in others)


@pytest.mark.parametrize("key", ["", "no key", KEY.private_bytes_raw().hex()], ids=["empty", "text", "raw"])
def test_a_setting_that_is_no_public_key_is_named(key: str) -> None:
    with pytest.raises(SettingsError, match="INGEST_TENANT_ASSERTION_KEY"):
        Assertions(key)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("sender_unknown", "wartet auf Ihre Freigabe"), ("declined", "abgelehnt"), (None, "angekommen")],
)
def test_the_history_says_that_a_mail_waits_for_the_tenant(reason: str | None, words: str) -> None:
    service = FakeService(own=[replace(mail_of(42), held_reason=reason)])
    client = TestClient(build(service, LoopbackAccess("anna"), assertions=Assertions(PUBLIC)))
    headers = {"authorization": signed(), "accept-language": "de"}
    (mail,) = client.get("/tenant/history", headers=headers).json()["mails"]
    assert (mail["state_in_words"], mail["held_reason"]) == (words, reason)
    assert words in client.get("/tenant/history.html", headers=headers).text
