"""Answers of the simulator where Exchange can't make the MIME of a message, or makes it differently each time."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
import requests

from local.graph.process import Simulator, running_simulator
from tests.integration.local.graph_session import signed_in

pytestmark = pytest.mark.usefixtures("unmeasured")

CENTRAL = "central@dms.example"
SAMPLES = Path(__file__).parents[2] / "mails" / "samples"
HEADER = b"Subject: scan\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
LARGE = HEADER + b"--b\r\n\r\n" + b"hi\r\n" * 200_000 + b"--b--\r\n"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(tmp_path_factory.mktemp("simulator") / "data", [CENTRAL]) as started:
        yield started


@pytest.fixture(scope="module")
def tolerant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator that differs wherever Exchange may."""
    options = ("--folder-scope", "ignored", "--changing-mime")
    with running_simulator(tmp_path_factory.mktemp("tolerant") / "data", [CENTRAL], *options) as started:
        yield started


@pytest.fixture
def graph(simulator: Simulator) -> Iterator[requests.Session]:
    with signed_in(simulator) as session:
        yield session
    simulator.admin.clear_faults()


@pytest.fixture
def other_graph(tolerant: Simulator) -> Iterator[requests.Session]:
    with signed_in(tolerant) as session:
        yield session


def sample(name: str) -> bytes:
    return SAMPLES.joinpath(f"{name}.eml").read_bytes()


def message_url(simulator: Simulator, raw: bytes, *, folder: str = "") -> str:
    """Deliver the mail; the URL of its message, below a folder where one is named."""
    [state] = simulator.admin.deliver(raw, [CENTRAL])
    below = f"/mailFolders/{folder}" if folder else ""
    return f"{simulator.graph_base_url}/users/{CENTRAL}{below}/messages/{state.id}"


def parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def contents(raw: bytes) -> list[object]:
    return [part.get_payload(decode=True) for part in parse(raw).walk() if not part.is_multipart()]


@pytest.mark.parametrize("name", ["smime-opaque", "smime-encrypted", "smime-report"])
def test_the_mime_of_hidden_smime_is_never_made(simulator: Simulator, graph: requests.Session, name: str) -> None:
    url = message_url(simulator, sample(name))
    for _ in range(2):
        refused = graph.get(f"{url}/$value")
        assert refused.status_code == 500
        assert refused.json()["error"]["code"] == "ErrorMimeContentConversionFailed"


@pytest.mark.parametrize("name", ["smime-opaque", "smime-encrypted"])
def test_its_attachment_can_be_read_all_the_same(simulator: Simulator, graph: requests.Session, name: str) -> None:
    url = message_url(simulator, sample(name))
    assert graph.get(url).json()["hasAttachments"] is True
    [attachment] = graph.get(f"{url}/attachments").json()["value"]
    assert attachment["name"] == "smime.p7m"
    assert graph.get(f"{url}/attachments/{attachment['id']}/$value").content == contents(sample(name))[0]


def test_the_mime_of_a_clear_signed_mail_is_made(simulator: Simulator, graph: requests.Session) -> None:
    assert graph.get(f"{message_url(simulator, sample('smime-signature'))}/$value").content == sample("smime-signature")


@pytest.mark.parametrize("code", ["ErrorCorruptData", "ErrorMimeContentConversionFailed"])
def test_an_error_of_exchange_comes_on_demand(simulator: Simulator, graph: requests.Session, code: str) -> None:
    url = f"{message_url(simulator, sample('only-text'))}/$value"
    simulator.admin.add_fault(code, path=r"/\$value$", limit=1)
    refused = graph.get(url)
    assert (refused.status_code, refused.json()["error"]["code"]) == (500, code)
    assert graph.get(url).content == sample("only-text")


def test_a_request_may_be_refused_that_was_right(simulator: Simulator, graph: requests.Session) -> None:
    simulator.admin.add_fault(400, path=r"/\$value$", limit=1)
    assert graph.get(f"{message_url(simulator, sample('only-text'))}/$value").status_code == 400


def test_a_streamed_error_has_no_code(simulator: Simulator, graph: requests.Session) -> None:
    simulator.admin.add_fault("bare_500", path=r"/\$value$", limit=1)
    refused = graph.get(f"{message_url(simulator, sample('only-text'))}/$value")
    assert (refused.status_code, refused.content) == (500, b"")
    assert refused.headers["Transfer-Encoding"] == "chunked"
    assert simulator.admin.fault_counters()["bare_500"] == 1


@pytest.mark.parametrize("raw", [sample("only-text"), LARGE], ids=["small", "large"])
def test_a_good_answer_may_be_empty_or_without_a_header(
    simulator: Simulator, graph: requests.Session, raw: bytes
) -> None:
    url = f"{message_url(simulator, raw)}/$value"
    simulator.admin.add_fault("empty", path=r"/\$value$", limit=1)
    simulator.admin.add_fault("headerless", path=r"/\$value$", limit=1)
    empty, headerless, whole = (graph.get(url) for _ in range(3))
    assert (empty.status_code, empty.content) == (200, b"")
    assert headerless.content == b"\r\n" + raw.partition(b"\r\n\r\n")[2]
    assert whole.content == raw


def test_an_attachment_of_any_listed_size_may_come_empty(simulator: Simulator, graph: requests.Session) -> None:
    url = message_url(simulator, sample("apple-mail-inline-pdf"))
    attachment = graph.get(f"{url}/attachments").json()["value"][0]
    simulator.admin.add_fault("empty", path=r"/attachments/.*/\$value$", limit=1)
    assert graph.get(f"{url}/attachments/{attachment['id']}/$value").content == b""
    assert attachment["size"] > 100


@pytest.mark.parametrize("name", ["apple-mail-inline-pdf", "outlook-reply-with-logos", "thunderbird-openpgp"])
def test_each_read_may_have_other_boundaries(tolerant: Simulator, other_graph: requests.Session, name: str) -> None:
    url = f"{message_url(tolerant, sample(name))}/$value"
    first, second = (other_graph.get(url).content for _ in range(2))
    assert contents(first) == contents(second) == contents(sample(name))
    changes = "multipart/signed" not in parse(sample(name)).get_content_type()
    assert len({first, second, sample(name)}) == (3 if changes else 1)


def test_a_large_mail_has_other_boundaries_too(tolerant: Simulator, other_graph: requests.Session) -> None:
    read = other_graph.get(f"{message_url(tolerant, LARGE)}/$value").content
    assert read != LARGE
    assert contents(read) == contents(LARGE)
    assert len(re.findall(b"(?m)^--" + re.escape(str(parse(read).get_boundary()).encode()), read)) == 2


def test_an_attached_mail_keeps_its_bytes(tolerant: Simulator, other_graph: requests.Session) -> None:
    def attached(raw: bytes) -> bytes:
        return raw[raw.index(b"message/rfc822") :].partition(b"\r\n--")[0]

    raw = sample("forwarded-as-attachment")
    read = other_graph.get(f"{message_url(tolerant, raw)}/$value").content
    assert read != raw
    assert attached(read) == attached(raw)


def test_the_folder_in_a_path_may_not_matter(tolerant: Simulator, other_graph: requests.Session) -> None:
    url = message_url(tolerant, sample("only-text"), folder="archive")
    assert other_graph.get(f"{url}/$value").content == sample("only-text")
    assert other_graph.get(f"{url}/attachments").status_code == 200
    assert other_graph.delete(url).status_code == 204


@pytest.mark.parametrize(
    ("method", "suffix"),
    [
        ("GET", ""),
        ("GET", "/$value"),
        ("GET", "/attachments"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/permanentDelete"),
        ("POST", "/move"),
    ],
)
def test_the_folder_in_a_path_matters_by_default(
    simulator: Simulator, graph: requests.Session, method: str, suffix: str
) -> None:
    url = message_url(simulator, sample("only-text"), folder="archive")
    body = {"POST": {"destinationId": "archive"}, "PATCH": {"isRead": True}}.get(method)
    elsewhere = graph.request(method, url + suffix, json=body)
    assert elsewhere.status_code == 404
    assert elsewhere.json()["error"]["code"] == "ErrorItemNotFound"
    assert graph.request(method, url.replace("/archive/", "/inbox/") + suffix, json=body).ok


def test_a_cloud_attachment_is_listed_and_not_in_the_mime(simulator: Simulator, graph: requests.Session) -> None:
    raw = sample("cloud-attachment-alone")
    [state] = simulator.admin.deliver(raw, [CENTRAL], links=["Vertrag 2025.pdf"])
    url = f"{simulator.graph_base_url}/users/{CENTRAL}/messages/{state.id}"
    assert graph.get(f"{url}/$value").content == raw
    assert b"X-MS-Has-Attach: yes" in raw
    [link] = graph.get(f"{url}/attachments").json()["value"]
    assert (link["@odata.type"], link["name"]) == ("#microsoft.graph.referenceAttachment", "Vertrag 2025.pdf")
    assert graph.get(f"{url}/attachments/{link['id']}/$value").status_code == 405


def test_the_first_item_of_a_page_may_be_odd(simulator: Simulator, graph: requests.Session) -> None:
    message_url(simulator, sample("only-text"))
    url = f"{simulator.graph_base_url}/users/{CENTRAL}/mailFolders/inbox/messages"
    for kind in ("no_id", "null_fields", "error_item"):
        simulator.admin.add_fault(kind, path="/inbox/messages$", limit=1)
    without_id, nulls, error = (graph.get(url).json()["value"][0] for _ in range(3))
    assert "id" not in without_id
    assert without_id["subject"]
    assert (nulls["receivedDateTime"], nulls["toRecipients"]) == (None, None)
    assert nulls["id"]
    assert error["error"]["code"] == "ErrorItemNotFound"


def test_junk_never_is_in_the_inbox(simulator: Simulator) -> None:
    before = simulator.admin.folders(CENTRAL)
    [state] = simulator.admin.deliver(sample("only-text"), [CENTRAL], folder="junkemail")
    after = simulator.admin.folders(CENTRAL)
    assert state.folder == "Junk Email"
    assert (after["Inbox"], after["Junk Email"]) == (before["Inbox"], before["Junk Email"] + 1)


def test_many_mails_come_from_one_template(tolerant: Simulator, other_graph: requests.Session) -> None:
    template = b"Message-ID: <{number}@bulk.example>\r\nSubject: Backlog {number}\r\n\r\nhello\r\n"
    tolerant.admin.deliver_series(template, [CENTRAL], count=1_500)
    url = f"{tolerant.graph_base_url}/users/{CENTRAL}/mailFolders/inbox/messages"
    query = {"$filter": "startswith(subject, 'Backlog')", "$select": "internetMessageId", "$top": "1000"}
    first = other_graph.get(url, params=query).json()
    second = other_graph.get(first["@odata.nextLink"]).json()
    assert len({item["internetMessageId"] for item in first["value"] + second["value"]}) == 1_500
