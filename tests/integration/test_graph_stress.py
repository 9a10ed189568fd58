"""The Graph client against a Graph that breaks off, throttles and forgets: never a short content taken for whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from ingest.errors import ContentInterrupted, Later
from ingest.graph.client import GraphClient
from ingest.graph.credentials import ClientCredentials
from ingest.graph.mailbox import Mailboxes
from ingest.graph.retry import TOTAL_SECONDS
from ingest.model.message import Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import DeleteMode, SweepScope
from local.graph.admin.client import Admin
from local.graph.process import Identity, Simulator
from local.tenants import LocalTenant
from tests.chaos.mails import Sent, mails

pytestmark = pytest.mark.usefixtures("unmeasured")

MAILBOX = "upload@dms.cloud"
IDENTITY = Identity(
    client_id="app",
    client_secret="only-in-this-test",  # noqa: S106 - of a simulator that lives as long
    tenant_id="00000000-1111-2222-3333-444444444444",
    mailboxes=(MAILBOX,),
)
TENANT = LocalTenant(id="1", name="Tenant", token="0" * 32, address=f"upload.{'0' * 32}@dms.cloud")
LARGE = 9  # the number of a mail with an attachment of 5 MB


class Fetched:
    """A message at a simulator, and a client that notes its waits instead of waiting."""

    def __init__(self, admin: Admin, make_client: Callable[[Callable[[float], None]], GraphClient]) -> None:
        self.admin = admin
        self.waits: list[float] = []
        self.mail = _large_mail()
        (state,) = admin.deliver(self.mail.mime, [MAILBOX])
        self.sent = hashlib.sha256(self.mail.mime).hexdigest()
        self.ref = MessageRef(mailbox=MAILBOX, message_id=state.id, trigger=Trigger.WEBHOOK)
        self.mailboxes = Mailboxes(
            make_client(self.waits.append),
            quarantine_folder="Quarantine",
            delete_mode=DeleteMode.DELETE,
            sweep_scope=SweepScope.ALL,
            sleep=self.waits.append,
        )

    def read(self) -> str:
        digest = hashlib.sha256()
        with self.mailboxes.original(self.ref, Scope.INBOX) as blocks:
            for block in blocks:
                digest.update(block)
        return digest.hexdigest()


@cache
def _large_mail() -> Sent:
    return next(mail for mail in mails(1, [TENANT]) if mail.number == LARGE)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator") / "data", IDENTITY)
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def fetched(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetched]:
    endpoint = simulator.endpoint
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(endpoint.ca_file))
    tokens = ClientCredentials(
        client_id=IDENTITY.client_id,
        tenant_id=IDENTITY.tenant_id,
        authority_host=endpoint.authority_host,
        graph_base_url=endpoint.graph_base_url,
        secret=IDENTITY.client_secret,
        certificate=None,
    )

    def make_client(sleep: Callable[[float], None]) -> GraphClient:
        return GraphClient(base_url=endpoint.graph_base_url, tokens=tokens, sleep=sleep)

    yield Fetched(simulator.admin, make_client)
    simulator.admin.clear_faults()


def test_a_download_that_breaks_off_is_void_and_the_next_one_is_whole(fetched: Fetched) -> None:
    fetched.admin.add_fault("truncate", path=r"/messages/.*\$value", limit=1)
    with pytest.raises(ContentInterrupted):
        fetched.read()
    assert fetched.read() == fetched.sent


@pytest.mark.parametrize("fault", [401, 412, 429, 500, 502, 503, 504, "reset", "lost", "truncate"])
def test_what_passes_is_waited_for_within_one_call(fetched: Fetched, fault: int | str) -> None:
    fetched.admin.add_fault(fault, path="/messages/", limit=1)
    assert fetched.mailboxes.categories_in_inbox(fetched.ref) == ()
    assert sum(fetched.waits) < TOTAL_SECONDS


@pytest.mark.parametrize("fault", [401, 412, 429, 500, 502, 503, 504, "reset", "lost"])
def test_what_passes_is_waited_for_where_a_download_is_opened(fetched: Fetched, fault: int | str) -> None:
    fetched.admin.add_fault(fault, path="/messages/", limit=1)
    assert fetched.read() == fetched.sent
    assert sum(fetched.waits) < TOTAL_SECONDS


def test_a_message_that_is_not_there_yet_is_asked_for_again(fetched: Fetched) -> None:
    fetched.admin.add_fault(404, path="/messages/", limit=2)
    assert fetched.read() == fetched.sent
    assert len(fetched.waits) == 2


@pytest.mark.parametrize("fault", [401, 429, 503, "reset"])
def test_what_does_not_pass_ends_as_later_in_bounded_time(fetched: Fetched, fault: int | str) -> None:
    fetched.admin.add_fault(fault, path="/messages/")
    with pytest.raises(Later):
        fetched.read()
    assert sum(fetched.waits) < TOTAL_SECONDS


def test_tokens_that_expire_cost_one_fresh_one(fetched: Fetched) -> None:
    assert fetched.read() == fetched.sent
    fetched.admin.expire_tokens()
    assert fetched.read() == fetched.sent
    assert fetched.waits == []
