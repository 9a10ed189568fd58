"""Access to the page."""

import base64
import json
import re
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from console.access import EntraAccess, LoopbackAccess, Role
from console.app import DOWNLOADS_A_MINUTE, build
from console.guard import form_token
from console.service import Action
from ingest.errors import SettingsError
from tests.fakes.console_service import FakeService

PAGES = ("/", "/mails", "/mails/7", "/mails/7/preview/1", "/quarantine", "/audit", "/tenants")
DOWNLOADS = ("/mails/7/copies/1/original", "/mails/7/copies/1/parts/1")


@pytest.mark.parametrize("path", [*PAGES, *DOWNLOADS, "/nothing"])
def test_a_stranger_sees_no_page(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert "Tischlerei" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_the_link_opens_every_page(anna: TestClient, path: str) -> None:
    assert anna.get(path).status_code == HTTPStatus.OK


def test_the_link_works_once(anna: TestClient, access: LoopbackAccess, service: FakeService) -> None:
    assert access.key is None
    second = TestClient(anna.app, base_url=str(anna.base_url), follow_redirects=False)
    assert second.get("/enter", params={"key": "None"}).status_code == HTTPStatus.UNAUTHORIZED
    assert service.journal == []


def test_the_session_is_kept_from_scripts_and_other_sites(stranger: TestClient, access: LoopbackAccess) -> None:
    cookie = stranger.get("/enter", params={"key": access.key}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_page_under_another_name_is_refused(anna: TestClient) -> None:
    # A name of the attacker's that resolves to 127.0.0.1.
    assert anna.get("/mails", headers={"host": "evil.example"}).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("path", PAGES)
def test_every_page_forbids_foreign_content(anna: TestClient, path: str) -> None:
    headers = anna.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "script-src 'self'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_script_or_style_of_its_own(anna: TestClient, path: str) -> None:
    text = anna.get(path).text
    assert "<style" not in text
    assert " style=" not in text
    assert text.count("<script") == text.count('<script src="/static/') <= 1


# Entra ID


def principal(*roles: str, account: str = "6f1c") -> dict[str, str]:
    claims = {"claims": [{"typ": "roles", "val": role} for role in roles]}
    return {
        "x-ms-client-principal": base64.b64encode(json.dumps(claims).encode()).decode(),
        "x-ms-client-principal-id": account,
        "x-ms-client-principal-name": "anna@firma.example",
    }


ON = {"WEBSITE_AUTH_ENABLED": "True"}


def test_without_app_service_authentication_the_app_does_not_start() -> None:
    with pytest.raises(SettingsError, match="WEBSITE_AUTH_ENABLED"):
        EntraAccess({"WEBSITE_SITE_NAME": "console"})


@pytest.mark.parametrize(
    ("roles", "expected"),
    [(("reader",), Role.READER), (("operator",), Role.OPERATOR), (("reader", "operator"), Role.OPERATOR)],
)
def test_app_roles_are_powers(roles: tuple[str, ...], expected: Role) -> None:
    person = EntraAccess(ON).person(principal(*roles), {})
    assert person is not None
    assert (person.name, person.role) == ("anna@firma.example", expected)


def test_the_record_has_the_address_that_app_service_saw(service: FakeService) -> None:
    headers = {**principal("reader"), "x-forwarded-for": "1.2.3.4, 203.0.113.9:50123"}
    client = TestClient(build(service, EntraAccess(ON)), base_url="https://console.example", headers=headers)
    client.get("/mails/7/preview/1")
    assert service.origins == ["203.0.113.9:50123"]


def test_the_downloads_of_one_account_do_not_count_against_another(service: FakeService) -> None:
    app = build(service, EntraAccess(ON))

    def download(account: str) -> int:
        headers = principal("reader", account=account)
        client = TestClient(app, base_url="https://console.example", headers=headers, follow_redirects=False)
        return client.get("/content/" + link).status_code

    client = TestClient(app, base_url="https://console.example", headers=principal("reader"), follow_redirects=False)
    link = client.get("/mails/7/copies/1/original").headers["location"].rpartition("/")[2]
    answers = [download("6f1c") for _ in range(DOWNLOADS_A_MINUTE + 1)]
    assert answers == [HTTPStatus.OK] * DOWNLOADS_A_MINUTE + [HTTPStatus.TOO_MANY_REQUESTS]
    assert download("7a2d") == HTTPStatus.OK


def test_a_signed_in_person_without_a_role_is_a_stranger() -> None:
    assert EntraAccess(ON).person(principal("approver"), {}) is None


@given(st.text(max_size=200))
def test_any_other_header_is_a_stranger(header: str) -> None:
    named = {**principal("operator"), "x-ms-client-principal": header}
    assert EntraAccess(ON).person(named, {}) is None


def test_a_reader_can_not_act(service: FakeService) -> None:
    client = TestClient(
        build(service, EntraAccess(ON)), base_url="https://console.example", headers=principal("reader")
    )
    page = client.get("/quarantine")
    assert 'name="action"' not in page.text
    access = EntraAccess(ON)
    person = access.person(principal("reader"), {})
    assert person is not None
    fields = {"form_token": "x", "mail": "k1", "why": "because", "action": "release"}
    answer = client.post("/quarantine", data=fields, headers={"origin": "https://console.example"})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert service.journal == []


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_route_lets_a_reader_do_what_an_operator_can(data: st.DataObject) -> None:
    service = FakeService()
    access = EntraAccess(ON)
    app = build(service, access)
    person = access.person(principal("reader"), {})
    assert person is not None
    paths = [re.sub(r"\{\w+(:int)?\}", "1", route.path) for route in app.routes if isinstance(route, Route)]
    fields = {
        "form_token": form_token(person.session),
        "mail": "k1",
        "why": "because",
        "tenant": "42",
        "action": data.draw(st.sampled_from([action.value for action in Action])),
        "undo": data.draw(st.sampled_from(["", "release k1", "delete k1"])),
    }
    client = TestClient(app, base_url="https://console.example", headers=principal("reader"))
    method = data.draw(st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]))
    path = data.draw(st.sampled_from(paths))
    answer = client.request(method, path, data=fields, headers={"origin": "https://console.example"})
    assert answer.status_code in {HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_FOUND}
    assert service.journal == []
