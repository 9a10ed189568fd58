"""The pages: what they show, and what a form may do."""

import platform
import re
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from httpx2 import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from console.app import DOWNLOADS_A_MINUTE
from console.guard import RateLimit
from console.language import LANGUAGES, Words, texts
from console.mail_page import timeline
from console.service import Action, PlatformState, Result, Undo
from console.text import shown
from ingest.codes import Disposition, HeldReason, Reason, Rule
from ingest.errors import OperatorError
from ingest.model.claim import ClaimState
from ingest.model.message_ref import Trigger
from operations.mails.history import MailRecord
from operations.status import Examination
from tests.fakes import console_service as fake
from tests.fakes.console_service import FakeService

ORIGIN = {"origin": "http://127.0.0.1:8080"}


def token(client: TestClient) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', client.get("/quarantine").text)
    assert found is not None
    return found[1]


def act(client: TestClient, **fields: str) -> Response:
    return client.post("/quarantine", data={"form_token": token(client), **fields}, headers=ORIGIN)


def test_an_operator_releases_a_mail_with_a_reason(anna: TestClient, service: FakeService) -> None:
    answer = act(anna, mail="k1", action="release", why="tenant is back")
    assert answer.status_code == HTTPStatus.OK
    assert service.journal == ["anna: release k1: tenant is back"]


def test_an_operator_assigns_a_mail_to_a_tenant_by_name(anna: TestClient, service: FakeService) -> None:
    act(anna, mail="k1", action="assign", why="asked the sender", tenant="Tischlerei Südhang")
    assert service.journal == ["anna: assign k1 to 42: asked the sender"]


def test_an_action_can_be_taken_back(anna: TestClient, service: FakeService) -> None:
    page = act(anna, mail="k2", action="delete", why="spam").text
    undo = re.search(r'name="undo" value="([^"]+)"', page)
    assert undo is not None
    anna.post("/quarantine/undo", data={"form_token": token(anna), "undo": undo[1]}, headers=ORIGIN)
    assert service.journal[-1] == "anna: undo delete k2"


def test_a_release_that_will_fail_again_is_a_warning_and_no_trouble(anna: TestClient, service: FakeService) -> None:
    service.result = Result(
        done=1,
        warnings=("4711: The cause is not mended, the mail will come back (no_token).",),
        undo=Undo(action=Action.RELEASE, keys=("k1",)),
    )
    page = act(anna, mail="k1", action="release", why="tenant is back").text
    assert "1 mails are released" in page
    assert "4711: The cause is not mended" in page
    assert 'class="notice bad"' not in page
    assert 'name="undo" value="release k1"' in page


def test_an_undo_names_the_mails_that_are_left_and_can_be_repeated_for_them(
    anna: TestClient, service: FakeService
) -> None:
    service.result = Result(
        done=1,
        trouble=("4712: The mail is being ingested, or was: nothing is taken back.",),
        undo=Undo(action=Action.DELETE, keys=("k2",)),
    )
    form = {"form_token": token(anna), "undo": "delete k1 k2"}
    page = anna.post("/quarantine/undo", data=form, headers=ORIGIN).text
    assert "1 of 2 are done. 4712: The mail is being ingested" in page
    assert 'name="undo" value="delete k2"' in page


@pytest.mark.parametrize(
    "fields",
    [
        {"mail": "k1", "action": "release", "why": " "},
        {"action": "release", "why": "because"},
        {"mail": "k1", "action": "assign", "why": "because", "tenant": "nobody"},
        {"mail": "k1", "action": "explode", "why": "because"},
    ],
    ids=["no reason", "no mail", "no tenant", "no such action"],
)
def test_an_incomplete_form_does_nothing(anna: TestClient, service: FakeService, fields: dict[str, str]) -> None:
    assert act(anna, **fields).status_code == HTTPStatus.BAD_REQUEST
    assert service.journal == []


@pytest.mark.parametrize(
    ("headers", "form_token"),
    [({"origin": "https://evil.example"}, None), ({}, None), (ORIGIN, "0" * 64)],
    ids=["other site", "no origin", "wrong token"],
)
def test_a_form_of_another_site_does_nothing(
    anna: TestClient, service: FakeService, headers: dict[str, str], form_token: str | None
) -> None:
    fields = {"form_token": form_token or token(anna), "mail": "k1", "action": "release", "why": "because"}
    assert anna.post("/quarantine", data=fields, headers=headers).status_code == HTTPStatus.FORBIDDEN
    assert service.journal == []


def test_a_look_at_content_is_recorded(anna: TestClient, service: FakeService) -> None:
    anna.get("/mails/7/copies/1/original")
    anna.get("/mails/7/preview/2")
    assert service.journal == ["anna: looks at 7: download of the original", "anna: looks at 7: preview of part 2"]


def test_the_record_says_from_where_a_person_acted(anna: TestClient, service: FakeService) -> None:
    act(anna, mail="k1", action="release", why="tenant is back")
    anna.get("/mails/7/copies/1/original")
    place = f"testclient@{platform.node()}"
    assert service.origins == [place, place]
    assert anna.get("/audit").text.count(f">{place}</td>") == 2


def test_content_comes_in_a_sandbox_and_without_a_cookie(anna: TestClient) -> None:
    link = anna.get("/mails/7/copies/1/original").headers["location"]
    assert link.startswith("http://localhost:8080/content/")
    anna.cookies.clear()
    answer = anna.get(link)
    assert answer.content == b"Subject: x\r\n\r\nHello"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_no_link_shows_a_file_name_or_a_subject(anna: TestClient, service: FakeService) -> None:
    service.parts_of[1] = [fake.part(1, name="Kontoauszug.pdf")]
    links = [anna.get(f"/mails/7/copies/1/{one}").headers["location"] for one in ("original", "parts/1")]
    for link in links:
        readable = b"".join(urlsafe_b64decode(f"{piece}===") for piece in re.split(r"[/.]", link)[-2:])
        assert b"RE-2026-1188" not in readable
        assert b"Kontoauszug" not in readable
        assert b"42/aa" not in readable


def test_downloads_have_a_limit_in_a_minute(anna: TestClient) -> None:
    link = anna.get("/mails/7/copies/1/original").headers["location"]
    answers = [anna.get(link).status_code for _ in range(DOWNLOADS_A_MINUTE + 1)]
    assert answers == [*([HTTPStatus.OK] * DOWNLOADS_A_MINUTE), HTTPStatus.TOO_MANY_REQUESTS]
    assert anna.get("/mails/7").status_code == HTTPStatus.OK


def test_a_limit_counts_each_address_and_forgets_after_its_time() -> None:
    now = 0.0
    limit = RateLimit(most=2, seconds=60.0, clock=lambda: now)
    assert [limit.allows("a"), limit.allows("a"), limit.allows("a"), limit.allows("b")] == [True, True, False, True]
    now = 60.0
    assert limit.allows("a")


@pytest.mark.parametrize(("media_type", "shown_by"), [("text/html", "iframe"), ("image/svg+xml", "img")])
def test_a_script_is_previewed_where_it_can_not_run(
    anna: TestClient, service: FakeService, media_type: str, shown_by: str
) -> None:
    name = "n" * 255
    service.parts_of[1] = [fake.part(1, name=name, content_type=media_type, detected_type=media_type)]
    service.blobs["42/aa/001"] = b"<script>alert(1)</script>"
    page = anna.get("/mails/7/preview/1").text
    source = re.search(rf'<{shown_by} [^>]*src="http://localhost:8080(/content/[^"]+)"', page)
    assert source is not None
    assert ("<iframe" not in page) or ('<iframe class="preview" sandbox ' in page)
    assert "<script>alert" not in page
    assert name in page
    anna.cookies.clear()
    answer = anna.get(f"{source[1]}", headers={"host": "localhost:8080"})
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize("found", [{"malware_verdict": "malicious"}, {"withheld": ["malicious"]}])
def test_malware_is_said_and_never_previewed(anna: TestClient, service: FakeService, found: dict[str, object]) -> None:
    service.parts_of[1] = [fake.part(1, **found)]
    page = anna.get("/mails/7").text
    assert "malware found" in page or "Schadsoftware gefunden" in page
    assert "/preview/1" not in page
    assert "/content/" not in anna.get("/mails/7/preview/1").text


@given(flips=st.integers(min_value=0, max_value=10_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_changed_link_leads_nowhere(anna: TestClient, flips: int) -> None:
    path = anna.get("/mails/7/copies/1/original").headers["location"].removeprefix("http://localhost:8080")
    place = len("/content/") + flips % (len(path) - len("/content/"))
    changed = path[:place] + ("A" if path[place] != "A" else "B") + path[place + 1 :]
    answer = anna.get(changed)
    # The last character of a base64 text may carry bits that mean nothing.
    assert answer.status_code == HTTPStatus.NOT_FOUND or answer.content == b"Subject: x\r\n\r\nHello"


def test_a_missing_blob_is_said(anna: TestClient, service: FakeService) -> None:
    link = anna.get("/mails/7/copies/1/original").headers["location"]
    service.blobs.clear()
    answer = anna.get(link)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "messages verify" in answer.text


def test_a_database_that_is_away_is_said_and_the_page_stays(anna: TestClient, service: FakeService) -> None:
    service.trouble = OperatorError("The database can't be reached: is the URL right, and the server up?")
    answer = anna.get("/mails")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "The database can&#39;t be reached" in answer.text
    assert '<nav aria-label="' in answer.text


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\u202efdp.exe", "\x9b2J"]
)
def test_a_strangers_text_is_only_text(anna: TestClient, service: FakeService, hostile: str) -> None:
    service.mails[7] = MailRecord(claim=fake.claim(), copies=[fake.copy(subject=hostile, sender=hostile)])
    service.parts_of[1] = [fake.part(1, name=hostile)]
    text = anna.get("/mails/7").text
    assert hostile not in text
    assert "<script>alert" not in text


@given(st.text())
def test_nothing_invisible_is_shown(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown(text))
    assert len(shown(text)) == len(text)


def test_both_languages_say_the_same_things() -> None:
    english, german = (texts(language) for language in LANGUAGES)
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key])), key


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [
        ("reason", set(Reason) | {"none"}),
        ("tenant_history.reason", set(Reason)),
        ("advice", set(Reason) | {"none"}),
        ("rule", set(Rule)),
        ("disposition", set(Disposition)),
        ("state", set(ClaimState)),
        ("trigger", set(Trigger)),
        ("held", set(HeldReason)),
    ],
)
def test_every_code_on_record_has_words(prefix: str, codes: set[str]) -> None:
    assert {key.removeprefix(f"{prefix}.") for key in texts("en") if key.startswith(f"{prefix}.")} >= {
        str(code) for code in codes
    }


def test_german_is_chosen_by_the_browser_and_english_by_hand(anna: TestClient) -> None:
    assert '<html lang="de">' in anna.get("/", headers={"accept-language": "de-DE,de;q=0.9,en;q=0.8"}).text
    anna.get("/language/en")
    assert '<html lang="en">' in anna.get("/", headers={"accept-language": "de-DE"}).text


def test_a_history_is_in_the_order_of_time() -> None:
    steps = timeline(MailRecord(claim=fake.claim(), copies=[fake.copy()]), Words("en"))
    times = [step.at for step in steps if step.at is not None]
    assert times == sorted(times)
    assert [step.text.split()[0] for step in steps] == ["Received", "Announced", "Stored", "Deleted"]


def test_a_rejected_mail_shows_sender_subject_tenant_and_reason(anna: TestClient, service: FakeService) -> None:
    claim = fake.claim(8, state="quarantined", reason="tenant_inactive")
    service.mails[8] = MailRecord(claim=claim, rejections=[fake.rejection(), fake.rejection(reason="unreadable")])
    text = anna.get("/mails/8").text
    assert "<h1>Rechnung RE-2026-1189</h1>" in text
    assert text.count("buchhaltung@lieferant.example") == 1  # of the reason that counts
    assert "Tischlerei Südhang" in text
    assert texts("en")["advice.tenant_inactive"] in text
    assert "/quarantine?reason=tenant_inactive" in text


def test_the_rejections_of_a_mail_are_in_its_history() -> None:
    mail = MailRecord(claim=fake.claim(), copies=[fake.copy()], rejections=[fake.rejection()])
    assert "Rejected: Tenant is switched off" in [step.text for step in timeline(mail, Words("en"))]


@pytest.mark.parametrize(
    ("platform", "examination", "said"),
    [
        (PlatformState(), None, ["unknown", "none yet"]),
        (PlatformState(subscriptions=0, queued=0, poisoned=0), None, ["none"]),
        (
            PlatformState(
                subscriptions=1, subscribed_until=datetime.now(UTC) + timedelta(days=3), queued=7, poisoned=2
            ),
            Examination(at=fake.NOON, failed=("queue", "token"), warned=()),
            ["ends in 2 d", "7, and 2 poisoned", "failed: queue, token"],
        ),
        (
            PlatformState(subscriptions=1, subscribed_until=fake.NOON - timedelta(days=400), queued=7, poisoned=0),
            Examination(at=fake.NOON, failed=(), warned=()),
            ["has ended", "all well"],
        ),
    ],
    ids=["nothing known", "no subscription", "trouble", "ended"],
)
def test_the_overview_says_how_subscription_queue_and_examination_are(
    anna: TestClient, service: FakeService, platform: PlatformState, examination: Examination | None, said: list[str]
) -> None:
    service.platform, service.examination = platform, examination
    page = anna.get("/").text
    assert [text for text in said if text not in page] == []
    assert "Tischlerei Südha" in page  # the plot by tenant
