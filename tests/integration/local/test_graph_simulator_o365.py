"""A library that knows nothing of the simulator works with it.

Pointed at it by what O365 offers for other clouds: the URL of its protocol, the MSAL client of its connection; and
the CA by the environment, as for any program built on `requests`.
"""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from O365.mailbox import MailBox  # type: ignore[import-untyped]  # the library has no types

from bench.rival import sign_in
from local.graph.process import Simulator, running_simulator

pytestmark = pytest.mark.usefixtures("unmeasured")

CENTRAL = "central@dms.example"


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with running_simulator(tmp_path / "data", [CENTRAL]) as started:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(started.ca_file))
        yield started


@pytest.fixture
def mailbox(simulator: Simulator) -> MailBox:
    at = {
        "graph_base_url": simulator.graph_base_url,
        "authority_host": simulator.authority_host,
        "client_id": simulator.identity.client_id,
        "client_secret": simulator.identity.client_secret,
        "tenant_id": simulator.identity.tenant_id,
        "mailboxes": [CENTRAL],
    }
    return sign_in(at, delay_milliseconds=0).mailbox()


def send(simulator: Simulator, subject: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "Jörg Müller <joerg@supplier.example>"
    mail["To"] = "Upload <upload.0123456789abcdef0123456789abcdef@dms.example>"
    mail["Subject"] = subject
    mail.set_content("Anbei.")
    document = subject.encode() * 1000
    mail.add_attachment(document, maintype="application", subtype="pdf", filename="Rechnung Ä.pdf")
    with smtplib.SMTP(simulator.smtp_host, simulator.smtp_port) as smtp:
        smtp.send_message(mail)
    return document


def test_o365_lists_reads_downloads_moves_and_deletes(simulator: Simulator, mailbox: MailBox) -> None:
    documents = {subject: send(simulator, subject) for subject in ("keep", "quarantine", "delete")}
    inbox = mailbox.inbox_folder()
    unread = "isRead eq false"
    found = {message.subject: message for message in inbox.get_messages(limit=None, query=unread)}
    assert set(found) == set(documents)

    for subject, message in found.items():
        assert message.sender.address == "joerg@supplier.example"
        assert [to.address for to in message.to] == ["upload.0123456789abcdef0123456789abcdef@dms.example"]
        assert message.attachments.download_attachments()
        [attachment] = message.attachments
        assert attachment.name == "Rechnung Ä.pdf"
        assert attachment.save(location=simulator.ca_file.parent, custom_name=f"{subject}.pdf")
        assert (simulator.ca_file.parent / f"{subject}.pdf").read_bytes() == documents[subject]
        assert subject.encode() in message.get_mime_content()

    quarantine = mailbox.create_child_folder("Quarantine")
    assert found["quarantine"].move(quarantine)
    assert found["delete"].delete()
    assert found["keep"].mark_as_read()

    assert [message.subject for message in inbox.get_messages(query=unread)] == []
    assert mailbox.get_folder(folder_name="Quarantine").total_items_count == 1
    where = {message.subject: message.folder for message in simulator.admin.messages()}
    assert where == {"keep": "Inbox", "quarantine": "Quarantine", "delete": "deleted"}


def test_o365_pages_through_a_folder(simulator: Simulator, mailbox: MailBox) -> None:
    subjects = {f"mail {number}" for number in range(7)}
    for subject in subjects:
        send(simulator, subject)
    paged = mailbox.inbox_folder().get_messages(limit=None, batch=3)
    assert {message.subject for message in paged} == subjects
