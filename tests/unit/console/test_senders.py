"""The pages on senders: the waiting room and its decisions, and the lists of allowed senders."""

import re
from http import HTTPStatus

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from operations.tenants.senders import Sender, SenderList
from tests.fakes import console_service as fake
from tests.fakes.console_service import FakeService

ORIGIN = {"origin": "http://127.0.0.1:8080"}


def token(client: TestClient, path: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def send(client: TestClient, path: str, **fields: str) -> Response:
    address = f"{path}?tenant=42" if path == "/senders" else path
    return client.post(path, data={"form_token": token(client, address), **fields}, headers=ORIGIN)


@pytest.fixture
def waiting(service: FakeService) -> FakeService:
    service.in_waiting_room = [
        fake.held_mail(1),
        fake.held_mail(2, held_reason="sender_unproven", sender_proven=False, subject="<script>alert(1)</script>"),
    ]
    service.lists = [SenderList(purpose="", mode="hold", entries=1, set_at=fake.NOON, set_by="dms_operator")]
    service.allowed = [
        Sender(purpose="", entry="supplier.example", added_at=fake.NOON, added_by="dms_operator", remark="<b>anna</b>")
    ]
    return service


def test_the_waiting_room_says_who_waits_and_why(anna: TestClient, waiting: FakeService) -> None:
    page = anna.get("/held", headers={"accept-language": "de"}).text
    assert "Angebot 1" in page
    assert "Der Absender steht nicht auf der Liste des Mandanten" in page
    assert "kann gefälscht sein" in page
    assert "<script>alert" not in page
    assert len(waiting.in_waiting_room) == page.count('name="row"')


@pytest.mark.parametrize("decision", ["approve", "approve_sender", "decline"])
def test_an_operator_decides_with_a_reason(anna: TestClient, waiting: FakeService, decision: str) -> None:
    answer = send(anna, "/held", row="42|1", decision=decision, why="new supplier")
    assert answer.status_code == HTTPStatus.OK
    assert waiting.journal == [f"anna: {decision} 42|1: new supplier"]
    assert "Angebot 1" not in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {"row": "42|1", "decision": "approve", "why": " "},
        {"decision": "approve", "why": "because"},
        {"row": "42|1", "decision": "explode", "why": "because"},
    ],
    ids=["no reason", "no mail", "no such decision"],
)
def test_an_incomplete_decision_does_nothing(anna: TestClient, waiting: FakeService, fields: dict[str, str]) -> None:
    assert send(anna, "/held", **fields).status_code == HTTPStatus.BAD_REQUEST
    assert waiting.journal == []


@pytest.mark.parametrize("path", ["/held", "/senders"])
def test_a_form_of_another_site_does_nothing(anna: TestClient, waiting: FakeService, path: str) -> None:
    fields = {"row": "42|1", "decision": "approve", "why": "x", "tenant": "42", "action": "mode", "mode": "off"}
    answer = anna.post(path, data={"form_token": "0" * 64, **fields}, headers=ORIGIN)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert waiting.journal == []


@pytest.mark.usefixtures("waiting")
def test_a_tenants_lists_are_shown_with_who_added_what(anna: TestClient) -> None:
    page = anna.get("/senders", params={"tenant": "Tischlerei Südhang"}).text
    assert "supplier.example" in page
    assert "wait for an approval" in page
    assert "&lt;b&gt;anna" in page
    assert anna.get("/senders", params={"tenant": "nobody"}).status_code == HTTPStatus.NOT_FOUND
    assert anna.get("/senders").status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("fields", "recorded"),
    [
        ({"action": "mode", "mode": "hold"}, "mode hold for 42 -"),
        ({"action": "mode", "mode": "general", "purpose": "cash"}, "mode None for 42 cash"),
        ({"action": "add", "senders": "a.example, b@c.example"}, "allow a.example b@c.example for 42 -"),
        ({"action": "remove", "row": "|supplier.example"}, "remove |supplier.example for 42"),
    ],
    ids=["mode", "no list of its own", "add", "remove"],
)
def test_an_operator_changes_a_list(
    anna: TestClient, waiting: FakeService, fields: dict[str, str], recorded: str
) -> None:
    answer = send(anna, "/senders", tenant="42", why="asked for", **fields)
    assert answer.status_code == HTTPStatus.OK
    assert waiting.journal == [f"anna: {recorded}: asked for"]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "mode", "mode": "hold", "why": ""},
        {"action": "mode", "mode": "strict", "why": "x"},
        {"action": "add", "senders": "wrong", "why": "x"},
        {"action": "explode", "why": "x"},
        {"action": "mode", "mode": "hold", "why": "x", "tenant": "nobody"},
    ],
    ids=["no reason", "no mode", "no sender", "no such action", "no tenant"],
)
def test_an_incomplete_change_does_nothing(anna: TestClient, waiting: FakeService, fields: dict[str, str]) -> None:
    assert send(anna, "/senders", **{"tenant": "42", **fields}).status_code == HTTPStatus.BAD_REQUEST
    assert waiting.journal == []
