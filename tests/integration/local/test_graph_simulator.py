"""The simulator as a Graph client sees it: sign-in, messages, attachments, folders, paging, batches."""

import base64
import hashlib
import itertools
import json
import smtplib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msal
import pytest
import requests

from local.graph.admin.client import MessageState
from local.graph.process import Simulator, running_simulator
from tests.integration.certificates import self_signed

pytestmark = pytest.mark.usefixtures("unmeasured")

IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
MAILBOXES = ["central@dms.example", *(f"box{number}@dms.example" for number in range(100))]
SCOPE = ["https://graph.microsoft.com/.default"]
SWEEP = {
    "$filter": "receivedDateTime ge 1900-01-01T00:00:00Z and isRead eq false",
    "$orderby": "receivedDateTime",
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("simulator")
    with running_simulator(folder / "data", MAILBOXES, "--traffic", str(folder / "traffic.jsonl")) as started:
        yield started


@pytest.fixture(scope="module")
def token(simulator: Simulator) -> str:
    access_token: str = sign_in(simulator, simulator.identity.client_secret)["access_token"]
    return access_token


@dataclass
class Mailbox:
    """One mailbox of the simulator and a client for it."""

    address: str
    simulator: Simulator
    session: requests.Session

    @property
    def url(self) -> str:
        return f"{self.simulator.graph_base_url}/users/{self.address}"

    def get(self, path: str, query: Mapping[str, str] | None = None, *, status: int = 200) -> dict[str, Any]:
        return answer(self.session.get(self.url + path, params=query), status)

    def post(self, path: str, body: object, *, status: int = 201) -> dict[str, Any]:
        return answer(self.session.post(self.url + path, json=body), status)

    def deliver(self, mail: EmailMessage | bytes) -> MessageState:
        raw = mail if isinstance(mail, bytes) else mail.as_bytes()
        return self.simulator.admin.deliver(raw, [self.address])[0]

    def deliver_many(self, count: int) -> list[MessageState]:
        return [self.deliver(simple_mail(subject=f"mail {number}")) for number in range(count)]


@pytest.fixture(scope="module")
def addresses() -> Iterator[str]:
    return iter(MAILBOXES[1:])


@pytest.fixture
def mailbox(simulator: Simulator, token: str, addresses: Iterator[str]) -> Iterator[Mailbox]:
    with client(simulator, token) as session:
        session.headers.update(IMMUTABLE)
        yield Mailbox(next(addresses), simulator, session)


def client(simulator: Simulator, token: str) -> requests.Session:
    session = requests.Session()
    # A CA bundle of the environment would win over ours.
    session.trust_env = False
    session.verify = str(simulator.ca_file)
    session.headers["Authorization"] = f"Bearer {token}"
    return session


def sign_in(simulator: Simulator, credential: object, tenant_id: str | None = None) -> dict[str, Any]:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(simulator.ca_file)
    app = msal.ConfidentialClientApplication(
        simulator.identity.client_id,
        client_credential=credential,
        authority=f"{simulator.authority_host}/{tenant_id or simulator.identity.tenant_id}",
        instance_discovery=False,
        http_client=session,
    )
    result: dict[str, Any] = app.acquire_token_for_client(SCOPE)
    return result


def answer(response: requests.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


def simple_mail(subject: str = "Rechnung", to: str = "upload.abc@dms.example") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Jörg Müller <joerg@supplier.example>"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content("Guten Tag,\nanbei die Rechnung.\n")
    return mail


def ids(listing: dict[str, Any]) -> list[str]:
    return [item["id"] for item in listing["value"]]


# Sign-in


def test_msal_gets_a_token_with_the_client_secret(simulator: Simulator) -> None:
    result = sign_in(simulator, simulator.identity.client_secret)
    assert result["token_type"] == "Bearer"  # noqa: S105 - the name of a scheme
    assert 3000 < result["expires_in"] <= 3599


def test_a_wrong_secret_is_refused_in_entras_words(simulator: Simulator) -> None:
    result = sign_in(simulator, "wrong")
    assert result["error"] == "invalid_client"
    assert result["error_codes"] == [7000215]


def test_an_unknown_tenant_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="double check your tenant"):
        sign_in(simulator, simulator.identity.client_secret, tenant_id="00000000-0000-0000-0000-000000000000")


def test_a_request_without_a_token_gets_401_with_a_challenge(mailbox: Mailbox) -> None:
    del mailbox.session.headers["Authorization"]
    response = mailbox.session.get(mailbox.url + "/messages")
    error = answer(response, 401)["error"]
    assert error["code"] == "InvalidAuthenticationToken"
    assert error["innerError"]["request-id"] == response.headers["request-id"]
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


# Mail in


def test_a_mail_sent_by_smtp_is_in_graph_as_exchange_shows_it(mailbox: Mailbox) -> None:
    mail = simple_mail(subject="Grüße und mehr 😀", to=f'"Müller, Eva" <{mailbox.address}>')
    mail["Cc"] = "UPLOAD.ABC@DMS.EXAMPLE, Ein Anderer <other@else.example>"
    mail["Message-ID"] = "<first@supplier.example>"
    mail["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Rechnung Nö.pdf")
    with smtplib.SMTP(mailbox.simulator.smtp_host, mailbox.simulator.smtp_port) as smtp:
        smtp.send_message(mail, to_addrs=[mailbox.address, mailbox.address.upper()])

    [message] = mailbox.get("/mailFolders/inbox/messages")["value"]
    assert message["subject"] == "Grüße und mehr 😀"
    assert message["from"] == message["sender"]
    assert message["from"]["emailAddress"] == {"name": "Jörg Müller", "address": "joerg@supplier.example"}
    assert [r["emailAddress"] for r in message["toRecipients"]] == [{"name": "Müller, Eva", "address": mailbox.address}]
    assert [r["emailAddress"]["address"] for r in message["ccRecipients"]] == [
        "UPLOAD.ABC@DMS.EXAMPLE",
        "other@else.example",
    ]
    assert message["bccRecipients"] == []
    assert message["internetMessageId"] == "<first@supplier.example>"
    assert message["sentDateTime"] == "2026-03-02T09:00:00Z"
    assert message["body"]["contentType"] == "text"
    assert message["bodyPreview"].startswith("Guten Tag,")
    assert message["hasAttachments"] is True
    assert message["isRead"] is False
    assert "internetMessageHeaders" not in message


def test_unknown_recipients_reach_the_catch_all_once_and_bcc_leaves_no_trace(simulator: Simulator) -> None:
    mail = simple_mail(subject="catch-all", to="upload.abc@dms.example")
    with smtplib.SMTP(simulator.smtp_host, simulator.smtp_port) as smtp:
        smtp.send_message(mail, to_addrs=["upload.abc@dms.example", "hidden@dms.example"])
    [state] = [m for m in simulator.admin.messages() if m.subject == "catch-all"]
    assert state.mailbox == MAILBOXES[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"no header at all\r\n.. a dotted line\r\n",
        b"",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\n\r\n%PDF",
        b"\xff\xfe: broken\r\n\r\n" + bytes(range(256)),
        b"Subject: long line\r\n\r\n" + b"x" * 2_000_000,
    ],
    ids=["no MIME", "nothing", "empty boundary", "no end", "bytes", "long line"],
)
def test_any_bytes_that_come_by_smtp_are_a_mail_and_are_kept(mailbox: Mailbox, raw: bytes) -> None:
    with smtplib.SMTP(mailbox.simulator.smtp_host, mailbox.simulator.smtp_port) as smtp:
        smtp.sendmail("a@b.example", [mailbox.address], raw)
    # SMTP itself adds the line break before the final dot.
    expected = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
    [message] = mailbox.get("/messages")["value"]
    value = mailbox.session.get(f"{mailbox.url}/messages/{message['id']}/$value")
    assert value.content == expected


def test_a_mail_that_breaks_off_is_no_mail(mailbox: Mailbox) -> None:
    with smtplib.SMTP(mailbox.simulator.smtp_host, mailbox.simulator.smtp_port) as smtp:
        smtp.ehlo()
        smtp.mail("a@b.example")
        smtp.rcpt(mailbox.address)
        smtp.putcmd("data")
        smtp.getreply()
        smtp.send(b"Subject: half of")
        smtp.close()
    whole = mailbox.deliver(simple_mail())
    assert ids(mailbox.get("/messages")) == [whole.id]


# Messages


def test_value_is_the_mail_byte_for_byte(mailbox: Mailbox) -> None:
    raw = simple_mail().as_bytes() + b"\xe4\xf6 8-bit and \x00 bytes\r\n" * 20_000
    state = mailbox.deliver(raw)
    value = mailbox.session.get(f"{mailbox.url}/messages/{state.id}/$value")
    assert value.content == raw
    assert hashlib.sha256(raw).hexdigest() == state.sha256


def test_default_ids_change_on_move_and_immutable_ids_do_not(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    mailbox.session.headers["Prefer"] = 'idtype="immutableid"'  # the case is wrong: not understood
    [before] = ids(mailbox.get("/messages"))
    assert before != state.id
    moved = mailbox.post(f"/messages/{before}/move", {"destinationId": "archive"})
    assert moved["id"] not in {before, state.id}
    mailbox.get(f"/messages/{before}", status=404)

    mailbox.session.headers.update(IMMUTABLE)
    response = mailbox.session.get(f"{mailbox.url}/messages/{state.id}")
    assert response.headers["Preference-Applied"] == 'IdType="ImmutableId"'
    assert answer(response, 200)["parentFolderId"] == moved["parentFolderId"]
    mailbox.get(f"/messages/{state.id.swapcase()}", status=400)


def test_the_folder_in_a_path_must_be_the_messages(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    mailbox.get(f"/mailFolders('inbox')/messages('{state.id}')")
    mailbox.get(f"/MAILFOLDERS/Inbox/Messages/{state.id}")
    mailbox.get(f"/mailFolders/drafts/messages/{state.id}", status=404)


def test_patch_sets_what_can_be_set_and_changes_the_etag(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    url = f"{mailbox.url}/messages/{state.id}"
    before = mailbox.session.get(url)
    changed = mailbox.session.patch(url, json={"isRead": True, "categories": ["no_tenant"]})
    assert answer(changed, 200)["categories"] == ["no_tenant"]
    assert changed.headers["ETag"] != before.headers["ETag"]

    stale = mailbox.session.patch(url, json={"isRead": False}, headers={"If-Match": before.headers["ETag"]})
    assert answer(stale, 412)["error"]["code"] == "ErrorIrresolvableConflict"
    answer(mailbox.session.patch(url, json={"isRead": "yes"}), 400)
    answer(mailbox.session.patch(url, json={"noSuchThing": 1}), 400)


def test_delete_is_204_then_403_by_immutable_id_and_404_by_default_id(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    default_id = ids(mailbox.session.get(f"{mailbox.url}/messages", headers={"Prefer": ""}).json())[0]
    url = f"{mailbox.url}/messages/{state.id}"
    assert mailbox.session.delete(url).status_code == 204
    assert answer(mailbox.session.delete(url), 403)["error"]["code"] == "ErrorCannotDeleteObject"
    gone = mailbox.session.delete(f"{mailbox.url}/messages/{default_id}")
    assert answer(gone, 404)["error"]["code"] == "ErrorItemNotFound"
    assert mailbox.get("/mailFolders/inbox/messages")["value"] == []
    [now] = [m for m in mailbox.simulator.admin.messages() if m.id == state.id]
    assert now.folder == "deleted"


def test_permanent_delete_leaves_nothing(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    url = f"{mailbox.url}/messages/{state.id}"
    assert mailbox.session.post(f"{url}/permanentDelete").status_code == 204
    answer(mailbox.session.post(f"{url}/permanentDelete"), 404)
    answer(mailbox.session.get(url), 404)


def test_the_sweeps_query_lists_unread_mail_oldest_first(mailbox: Mailbox) -> None:
    delivered = mailbox.deliver_many(3)
    mailbox.simulator.admin.mark_read(delivered[1].id)
    listing = mailbox.get("/mailFolders('inbox')/messages", SWEEP)
    assert ids(listing) == [delivered[0].id, delivered[2].id]


def test_what_orderby_names_must_come_first_in_the_filter(mailbox: Mailbox) -> None:
    query = {"$filter": "isRead eq false", "$orderby": "receivedDateTime"}
    error = mailbox.get("/messages", query, status=400)["error"]
    assert error["code"] == "InefficientFilter"


def test_paging_skips_what_moved_up_when_something_was_deleted(mailbox: Mailbox) -> None:
    delivered = mailbox.deliver_many(5)
    first = mailbox.get("/mailFolders/inbox/messages", {**SWEEP, "$top": "2", "$count": "true"})
    assert first["@odata.count"] == 5
    assert ids(first) == [delivered[0].id, delivered[1].id]
    mailbox.session.delete(f"{mailbox.url}/messages/{delivered[0].id}")
    second = answer(mailbox.session.get(first["@odata.nextLink"]), 200)
    assert ids(second) == [delivered[3].id, delivered[4].id]
    assert "@odata.nextLink" not in second


@pytest.mark.parametrize("top", ["0", "1001", "x"])
def test_top_is_1_to_1000(mailbox: Mailbox, top: str) -> None:
    mailbox.get("/messages", {"$top": top}, status=400)


def test_a_page_holds_ten_messages_by_default(mailbox: Mailbox) -> None:
    mailbox.deliver_many(11)
    assert len(mailbox.get("/messages")["value"]) == 10
    assert len(mailbox.get("/messages", {"$top": "1000"})["value"]) == 11


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("subject eq 'MAIL 1'", 1),
        ("subject ne 'mail 1'", 2),
        ("startswith(subject,'mail') and not contains(subject,'2')", 2),
        ("from/emailAddress/address eq 'JOERG@supplier.example'", 3),
        ("hasAttachments eq true", 0),
        ("subject in ('mail 0','mail 2')", 2),
        ("(subject eq 'mail 0' or subject eq 'mail 1') and isRead eq false", 2),
        ("toRecipients/any(r:r/emailAddress/address eq 'upload.abc@dms.example')", 3),
        ("categories/any(c:c eq 'red')", 0),
        ("receivedDateTime gt 2100-01-01T00:00:00Z", 0),
        ("internetMessageId eq '<nobody@nowhere>'", 0),
        ("singleQuote eq 'it''s'", None),
        ("subject eq", None),
        ("isRead eq false)", None),
    ],
)
def test_a_filter_finds_its_messages_or_is_refused(mailbox: Mailbox, text: str, found: int | None) -> None:
    mailbox.deliver_many(3)
    if found is None:
        mailbox.get("/messages", {"$filter": text}, status=400)
    else:
        assert len(mailbox.get("/messages", {"$filter": text})["value"]) == found


def test_select_and_expand_bring_a_message_with_its_attachments_and_size(mailbox: Mailbox) -> None:
    mail = simple_mail()
    mail.add_attachment(b"%PDF" * 1000, maintype="application", subtype="pdf", filename="a.pdf")
    state = mailbox.deliver(mail)
    message = mailbox.get(
        f"/messages/{state.id}",
        {
            "$select": "subject,internetMessageHeaders",
            "$expand": "attachments($select=id,name,contentType,size,isInline,"
            "microsoft.graph.fileAttachment/contentId),"
            "singleValueExtendedProperties($filter=id eq 'Long 0x0E08')",
        },
    )
    assert set(message) == {
        "@odata.context",
        "@odata.etag",
        "id",
        "subject",
        "internetMessageHeaders",
        "attachments",
        "singleValueExtendedProperties",
    }
    assert "To" not in {header["name"] for header in message["internetMessageHeaders"]}
    [attachment] = message["attachments"]
    assert attachment["name"] == "a.pdf"
    assert attachment["size"] > 4000
    assert attachment["contentId"] is None
    assert "contentBytes" not in attachment
    [size] = message["singleValueExtendedProperties"]
    assert int(size["value"]) >= len(mail.as_bytes())


@pytest.mark.parametrize(
    "query",
    [{"$select": "noSuchThing"}, {"$expand": "noSuchThing"}, {"$expand": "attachments($select=contentId)"}],
)
def test_unknown_properties_in_a_query_are_refused(mailbox: Mailbox, query: dict[str, str]) -> None:
    error = mailbox.get("/messages", query, status=400)["error"]
    assert error["code"] == "RequestBroker--ParseUri"


# Attachments


def mail_with_everything() -> EmailMessage:
    mail = simple_mail()
    mail.add_alternative('<p>Anbei. <img src="cid:logo"></p>', subtype="html")
    html = mail.get_payload()[1]  # type: ignore[index]  # a list, as the mail has two bodies by now
    html.add_related(b"PNG", "image", "png", cid="<logo>", filename="logo.png", disposition="inline")  # type: ignore[union-attr]  # as above
    mail.add_attachment(b"\x00\xff" * 300_000, maintype="application", subtype="pdf", filename="Scan Ü.pdf")
    inner = simple_mail(subject="die eigentliche Mail")
    inner.add_attachment(b"inner", maintype="application", subtype="pdf", filename="inner.pdf")
    mail.add_attachment(inner)
    return mail


def test_attachments_of_all_kinds_are_listed_with_their_content(mailbox: Mailbox) -> None:
    raw = mail_with_everything().as_bytes()
    [state] = mailbox.simulator.admin.deliver(raw, [mailbox.address], links=["shared.docx"])
    base = f"/messages/{state.id}/attachments"
    logo, scan, item, link = mailbox.get(base)["value"]

    assert (logo["isInline"], logo["contentId"], logo["name"]) == (True, "logo", "logo.png")
    assert base64.b64decode(logo["contentBytes"]) == b"PNG"
    assert (scan["name"], scan["isInline"]) == ("Scan Ü.pdf", False)
    assert item["@odata.type"] == "#microsoft.graph.itemAttachment"
    assert (item["name"], item["contentType"]) == ("die eigentliche Mail", None)
    assert link["@odata.type"] == "#microsoft.graph.referenceAttachment"

    value = mailbox.session.get(f"{mailbox.url}{base}/{scan['id']}/$value")
    assert value.content == b"\x00\xff" * 300_000
    assert value.headers["Content-Type"] == "application/pdf"
    nested = mailbox.session.get(f"{mailbox.url}{base}/{item['id']}/$value")
    assert b"die eigentliche Mail" in nested.content
    mailbox.get(f"{base}/{link['id']}/$value", status=405)
    expanded = mailbox.get(f"{base}/{item['id']}", {"$expand": "microsoft.graph.itemAttachment/item"})
    assert expanded["item"]["subject"] == "die eigentliche Mail"


def test_plain_content_id_can_not_be_selected(mailbox: Mailbox) -> None:
    state = mailbox.deliver(mail_with_everything())
    base = f"/messages/{state.id}/attachments"
    mailbox.get(base, {"$select": "id,contentId"}, status=400)
    by_cast = mailbox.get(base, {"$select": "id,microsoft.graph.fileAttachment/contentId"})
    assert by_cast["value"][0]["contentId"] == "logo"


def test_only_inline_attachments_do_not_count(mailbox: Mailbox) -> None:
    mail = simple_mail()
    mail.add_alternative('<img src="cid:logo">', subtype="html")
    html = mail.get_payload()[1]  # type: ignore[index]  # a list, as the mail has two bodies by now
    html.add_related(b"PNG", "image", "png", cid="<logo>")  # type: ignore[union-attr]  # as above
    state = mailbox.deliver(mail)
    assert mailbox.get(f"/messages/{state.id}")["hasAttachments"] is False
    assert len(mailbox.get(f"/messages/{state.id}/attachments")["value"]) == 1


def test_attachment_ids_follow_the_messages_id(mailbox: Mailbox) -> None:
    state = mailbox.deliver(mail_with_everything())
    base = f"/messages/{state.id}/attachments"
    immutable = ids(mailbox.get(base))
    default = ids(mailbox.session.get(mailbox.url + base, headers={"Prefer": ""}).json())
    assert not set(immutable) & set(default)
    mailbox.post(f"/messages/{state.id}/move", {"destinationId": "archive"})
    assert ids(mailbox.get(base)) == immutable
    mailbox.get(f"{base}/{default[0]}", status=404)


# Folders


def test_a_folder_is_created_found_renamed_filled_and_deleted(mailbox: Mailbox) -> None:
    folder = mailbox.post("/mailFolders", {"displayName": "Quarantine"})
    error = mailbox.post("/mailFolders", {"displayName": "quarantine"}, status=409)["error"]
    assert error["code"] == "ErrorFolderExists"
    found = mailbox.get("/mailFolders", {"$filter": "displayName eq 'Quarantine'"})["value"]
    assert [entry["id"] for entry in found] == [folder["id"]]

    state = mailbox.deliver(simple_mail())
    moved = mailbox.post(f"/messages/{state.id}/move", {"destinationId": folder["id"]})
    assert moved["parentFolderId"] == folder["id"]
    assert mailbox.get(f"/mailFolders/{folder['id']}")["totalItemCount"] == 1

    renamed = mailbox.session.patch(f"{mailbox.url}/mailFolders/{folder['id']}", json={"displayName": "Old"})
    assert answer(renamed, 200)["id"] == folder["id"]
    child = mailbox.post(f"/mailFolders/{folder['id']}/childFolders", {"displayName": "Child"})
    assert ids(mailbox.get(f"/mailFolders/{folder['id']}/childFolders")) == [child["id"]]

    assert mailbox.session.delete(f"{mailbox.url}/mailFolders/{folder['id']}").status_code == 204
    mailbox.post(f"/messages/{state.id}/move", {"destinationId": folder["id"]}, status=404)


def test_the_root_lists_the_well_known_folders(mailbox: Mailbox) -> None:
    names = {f["displayName"] for f in mailbox.get("/mailFolders", {"$top": "100"})["value"]}
    assert {"Inbox", "Drafts", "Sent Items", "Deleted Items", "Junk Email", "Archive"} <= names
    root = mailbox.get("/mailFolders/msgfolderroot")
    assert mailbox.get("/mailFolders('INBOX')")["parentFolderId"] == root["id"]


# Paths


def test_a_mailbox_is_found_by_address_in_any_case_or_by_id(mailbox: Mailbox) -> None:
    mailbox.deliver(simple_mail())
    base = mailbox.simulator.graph_base_url
    listing = answer(mailbox.session.get(f"{base}/Users('{mailbox.address.upper()}')/messages"), 200)
    assert len(listing["value"]) == 1
    unknown = answer(mailbox.session.get(f"{base}/users/nobody@dms.example/messages"), 404)
    assert unknown["error"]["code"] == "ErrorInvalidUser"


@pytest.mark.parametrize(("path", "status"), [("/users/x/calendar", 400), ("/me/messages", 400), ("/$batch", 405)])
def test_paths_that_are_not_there(mailbox: Mailbox, path: str, status: int) -> None:
    answer(mailbox.session.get(mailbox.simulator.graph_base_url + path), status)


# Batches


def test_a_batch_answers_each_request_by_itself(mailbox: Mailbox) -> None:
    state = mailbox.deliver(simple_mail())
    steps = [
        {
            "id": "1",
            "method": "GET",
            "url": f"/users/{mailbox.address}/messages/{state.id}",
            "headers": IMMUTABLE,
        },
        {"id": "2", "method": "GET", "url": f"/users/{mailbox.address}/messages/AAAA"},
        {"id": "3", "method": "GET", "url": f"/users/{mailbox.address}/messages", "dependsOn": ["2"]},
        {
            "id": "4",
            "method": "POST",
            "url": f"/users/{mailbox.address}/messages/{state.id}/move",
            "headers": {"Content-Type": "application/json"},
            "body": {"destinationId": "archive"},
            "dependsOn": ["1"],
        },
    ]
    response = mailbox.session.post(f"{mailbox.simulator.graph_base_url}/$batch", json={"requests": steps})
    answers = {entry["id"]: entry for entry in answer(response, 200)["responses"]}
    assert {key: entry["status"] for key, entry in answers.items()} == {
        "1": 200,
        "2": 400,
        "3": 424,
        "4": 201,
    }
    assert answers["1"]["body"]["id"] == state.id


@pytest.mark.parametrize("count", [0, 21])
def test_a_batch_holds_1_to_20_requests(mailbox: Mailbox, count: int) -> None:
    steps = [{"id": str(number), "method": "GET", "url": "/subscriptions"} for number in range(count)]
    response = mailbox.session.post(f"{mailbox.simulator.graph_base_url}/$batch", json={"requests": steps})
    answer(response, 400)


# The traffic log


def test_the_log_has_every_exchange_but_no_token(simulator: Simulator, token: str, mailbox: Mailbox) -> None:
    mailbox.get("/messages", {"$top": "7"})
    lines = (simulator.ca_file.parent.parent / "traffic.jsonl").read_text(encoding="utf-8").splitlines()
    exchanges = [json.loads(line) for line in lines]
    [mine] = [e for e in exchanges if mailbox.address in e["url"]]
    assert mine["method"] == "GET"
    assert mine["url"].startswith("https://graph.microsoft.com/v1.0/users/")
    assert mine["request_headers"]["prefer"] == IMMUTABLE["Prefer"]
    assert mine["status"] == 200
    assert mine["response_body"]["value"] == []
    assert not any(token in line for line in itertools.chain(lines))


def test_certificates_work_instead_of_the_secret(tmp_path: Path) -> None:
    certificate, key, thumbprint = self_signed()
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate)
    with running_simulator(tmp_path / "data", MAILBOXES[:1], "--client-certificate", str(pem)) as simulator:
        credential = {"private_key": key.decode(), "thumbprint": thumbprint}
        assert "access_token" in sign_in(simulator, credential)
        _, other_key, _ = self_signed()
        refused = sign_in(simulator, {"private_key": other_key.decode(), "thumbprint": thumbprint})
        assert refused["error"] == "invalid_client"
