"""Mailboxes: the same of the fake as of Graph, here of its simulator over TLS with MSAL's tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest

from ingest.codes import Reason
from ingest.documents.graph_message import read_message
from ingest.documents.spool import Spool
from ingest.errors import GraphUnavailable, NotFound
from ingest.graph.client import GraphClient
from ingest.graph.credentials import ClientCredentials
from ingest.graph.deleted import DeletedItems, read_deleted_items
from ingest.graph.mailbox import Mailboxes
from ingest.model.message import AttachmentKind, Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.original import message_of, read_header
from ingest.settings import DeleteMode, SweepScope
from local.graph.process import Simulator
from tests.contract.conftest import MAILBOXES
from tests.fakes.mail import PDF, FakeMail, email
from tests.fakes.values import TOKEN


@dataclass
class World:
    """Mailboxes of either kind, and what a test does to one of them behind their back."""

    mail: Mailboxes | FakeMail
    simulator: Simulator | None
    mailbox: str

    def deliver(self, mail: EmailMessage) -> MessageRef:
        if isinstance(self.mail, FakeMail):
            return self.mail.deliver(mail, self.mailbox)
        assert self.simulator
        (delivered,) = self.simulator.admin.deliver(mail.as_bytes(), [self.mailbox])
        return MessageRef(mailbox=self.mailbox, message_id=delivered.id, trigger=Trigger.SWEEP)

    def move(self, ref: MessageRef, folder: str) -> None:
        if isinstance(self.mail, FakeMail):
            self.mail.move(ref, folder)
            return
        assert self.simulator
        self.simulator.admin.move(ref.message_id, folder)

    def where(self, ref: MessageRef) -> tuple[str, tuple[str, ...]]:
        """Folder and categories."""
        if isinstance(self.mail, FakeMail):
            return str(self.mail.folder(ref)), self.mail.categories(ref)
        assert self.simulator
        (found,) = (one for one in self.simulator.admin.messages() if one.id == ref.message_id)
        return found.folder, found.categories

    def inbox(self) -> list[str]:
        return [item.ref.message_id for page in self.mail.list_inbox(self.mailbox) for item in page]


def credentials(simulator: Simulator, secret: str) -> ClientCredentials:
    return ClientCredentials(
        client_id=simulator.identity.client_id,
        tenant_id=simulator.identity.tenant_id,
        authority_host=simulator.authority_host,
        graph_base_url=simulator.graph_base_url,
        secret=secret,
        certificate=None,
    )


@pytest.fixture(params=["fake", "graph"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    mailbox = next(request.getfixturevalue("free_mailboxes"))
    if request.param == "fake":
        yield World(FakeMail(), None, mailbox)
        return
    simulator: Simulator = request.getfixturevalue("simulator")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
    graph = GraphClient(
        base_url=simulator.graph_base_url, tokens=credentials(simulator, simulator.identity.client_secret)
    )
    mail = Mailboxes(
        graph, quarantine_folder="Quarantine", delete_mode=DeleteMode.DELETE, sweep_scope=SweepScope.UNREAD
    )
    yield World(mail, simulator, mailbox)


def original(world: World, ref: MessageRef, scope: Scope = Scope.INBOX) -> bytes:
    with world.mail.original(ref, scope) as blocks:
        return b"".join(blocks)


@pytest.mark.parametrize("scope", Scope)
def test_the_original_comes_byte_for_byte(world: World, scope: Scope) -> None:
    mail = email(attachments={"scan.pdf": PDF * 50_000})
    ref = world.deliver(mail)
    assert hashlib.sha256(original(world, ref, scope)).digest() == hashlib.sha256(mail.as_bytes()).digest()


def test_graphs_message_has_what_the_headers_of_the_original_have(world: World) -> None:
    to, cc = [f"upload.{TOKEN}@dms.example", "x@other.example"], ["copy@dms.example"]
    mail = email(to=to, cc=cc, subject="Rechnung ä 😀", attachments={"ä.pdf": PDF})
    mail["X-Forwarded-To"] = "forwarded@dms.example"
    ref = world.deliver(mail)
    with Spool() as spool, world.mail.message_json(ref) as blocks:
        spool.fill(blocks)
        headers = read_message(spool).headers
    message = message_of(ref, headers, None)
    same = message_of(ref, read_header([original(world, ref)])[0], message.received_at)
    assert message == same
    assert (message.to, message.cc, message.subject) == (tuple(to), tuple(cc), "Rechnung ä 😀")
    assert headers.get("X-Forwarded-To") == "forwarded@dms.example"


def test_a_message_is_described_as_its_header_says(world: World) -> None:
    to, cc = [f"upload.{TOKEN}@dms.example", "x@other.example"], ["copy@dms.example"]
    ref = world.deliver(email(to=to, cc=cc, subject="Rechnung ä 😀"))
    described = world.mail.describe(ref)
    read = message_of(ref, read_header([original(world, ref)])[0], described.received_at)
    assert (described.sender, described.subject, described.to, described.cc, described.internet_message_id) == (
        read.sender,
        read.subject,
        read.to,
        read.cc,
        read.internet_message_id,
    )


def test_attachments_are_listed(world: World) -> None:
    ref = world.deliver(email(attachments={"ä.pdf": PDF, "b.pdf": PDF}))
    listed = world.mail.attachments(ref)
    assert [item.name for item in listed] == ["ä.pdf", "b.pdf"]
    assert {item.kind for item in listed} == {AttachmentKind.FILE}
    assert all(item.size >= len(PDF) for item in listed)


def test_content_comes_byte_for_byte(world: World) -> None:
    content = bytes(range(256)) * 5000
    ref = world.deliver(email(attachments={"bytes.bin": content, "empty.txt": b""}))
    first, second = world.mail.attachments(ref)
    with world.mail.content(ref, first) as blocks:
        assert b"".join(blocks) == content
    with world.mail.content(ref, second) as blocks:
        assert b"".join(blocks) == b""


def test_an_attached_mail_is_an_item(world: World) -> None:
    outer = email(attachments={})
    outer.add_attachment(email(subject="Inner"))
    ref = world.deliver(outer)
    (item,) = world.mail.attachments(ref)
    assert item.kind is AttachmentKind.ITEM
    with world.mail.content(ref, item) as blocks:
        assert b"Subject: Inner" in b"".join(blocks)


def test_a_message_that_is_not_there_is_not_found(world: World) -> None:
    ref = world.deliver(email())
    unknown = replace(ref, mailbox=MAILBOXES[-1])  # a well-formed id, of another mailbox
    for scope in Scope:
        with pytest.raises(NotFound):
            original(world, unknown, scope)
    with pytest.raises(NotFound):
        world.mail.attachments(unknown)
    with pytest.raises(NotFound):
        world.mail.quarantine(unknown, Reason.NO_TOKEN)


def test_a_message_that_was_moved_is_read_wherever_it_is(world: World) -> None:
    ref = world.deliver(email())
    world.mail.quarantine(ref, Reason.NO_TOKEN)
    assert original(world, ref, Scope.MAILBOX)
    with pytest.raises(NotFound):  # of a Graph that checks the folder; the app also works with one that does not
        original(world, ref, Scope.INBOX)


def test_the_categories_are_returned_for_messages_in_the_inbox_only(world: World) -> None:
    ref = world.deliver(email())
    assert world.mail.categories_in_inbox(ref) == ()
    world.mail.quarantine(ref, Reason.NO_TOKEN, ["Red"])
    assert world.mail.categories_in_inbox(ref) is None
    world.move(ref, "inbox")
    assert world.mail.categories_in_inbox(ref) == ("Red", "no_token")
    world.mail.delete(ref, Scope.INBOX)
    assert world.mail.categories_in_inbox(ref) is None


def test_deleting_is_done_however_often(world: World) -> None:
    ref = world.deliver(email())
    for _ in range(3):
        world.mail.delete(ref, Scope.INBOX)
    assert world.inbox() == []


def test_quarantine_shows_the_latest_reason_and_keeps_other_categories(world: World) -> None:
    ref = world.deliver(email())
    world.mail.quarantine(ref, Reason.NO_TOKEN, ["Red", "unknown_token"])
    assert world.where(ref) == ("Quarantine", ("Red", "no_token"))
    world.mail.quarantine(ref, Reason.TENANT_INACTIVE, ["Red", "no_token"])
    assert world.where(ref) == ("Quarantine", ("Red", "tenant_inactive"))


def test_what_is_left_is_listed_oldest_first_without_what_went(world: World) -> None:
    refs = [world.deliver(email(subject=str(number))) for number in range(5)]
    world.mail.delete(refs[1], Scope.INBOX)
    world.mail.quarantine(refs[2], Reason.NO_TOKEN)
    assert sorted(world.inbox()) == sorted(refs[number].message_id for number in (0, 3, 4))


def test_deleted_items_are_counted_with_their_size_and_growth(
    simulator: Simulator, free_mailboxes: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = next(free_mailboxes)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
    tokens = credentials(simulator, simulator.identity.client_secret)
    graph = GraphClient(base_url=simulator.graph_base_url, tokens=tokens)
    empty = read_deleted_items(graph, mailbox, now=datetime.now(UTC))
    assert empty == DeletedItems(mails=0, size=0, oldest=None, last_week=0)
    for _ in range(3):
        simulator.admin.deliver(email(attachments={"a.pdf": PDF * 1000}).as_bytes(), [mailbox], folder="deleteditems")
    found = read_deleted_items(graph, mailbox, now=datetime.now(UTC))
    assert (found.mails, found.last_week) == (3, 3)
    assert found.size is not None
    assert 3 * 1000 * len(PDF) < found.size < 3 * 2000 * len(PDF)
    assert found.bytes_a_day == pytest.approx(found.size / 7)
    later = read_deleted_items(graph, mailbox, now=datetime.now(UTC) + timedelta(days=8))
    assert (later.oldest, later.last_week) == (found.oldest, 0)


def test_junk_is_brought_into_the_inbox_a_limited_number_at_a_time(world: World) -> None:
    refs = [world.deliver(email(subject=str(number))) for number in range(4)]
    for ref in refs[:3]:
        world.move(ref, "Junk Email" if world.simulator is None else "junkemail")
    assert world.inbox() == [refs[3].message_id]
    assert world.mail.bring_in_junk(world.mailbox, limit=2) == 2
    assert len(world.inbox()) == 3
    assert world.mail.bring_in_junk(world.mailbox, limit=2) == 1
    assert sorted(world.inbox()) == sorted(ref.message_id for ref in refs)
    assert world.mail.bring_in_junk(world.mailbox, limit=2) == 0


def test_a_wrong_secret_is_named_by_its_error_code_and_never_quoted(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
    with pytest.raises(GraphUnavailable, match="invalid_client") as refused:
        credentials(simulator, "leaked-wrong-secret").token()
    assert "leaked" not in str(refused.value)


def test_an_authority_that_is_down_raises_graph_unavailable() -> None:
    unreachable = ClientCredentials(
        client_id="app",
        tenant_id="tenant",
        authority_host="https://127.0.0.1:1",
        graph_base_url="https://127.0.0.1:1/v1.0",
        secret="leaked-secret",  # noqa: S106 - recognisable in each text that it would leak into
        certificate=None,
    )
    with pytest.raises(GraphUnavailable, match="token endpoint") as unavailable:
        unreachable.token()
    assert "leaked" not in str(unavailable.value)


def test_a_token_is_taken_from_the_cache_until_it_is_forgotten(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
    tokens = credentials(simulator, simulator.identity.client_secret)
    first = tokens.token()
    assert tokens.token() == first
    tokens.forget()
    assert tokens.token() != first
