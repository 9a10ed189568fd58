"""Faults of the simulator for its clients: throttling, faults, latency, outages, expired tokens."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from local.graph.admin.client import AdminError
from local.graph.process import Simulator, running_simulator
from tests.integration.local.graph_session import new_token, signed_in

pytestmark = pytest.mark.usefixtures("unmeasured")

CENTRAL, SECOND = "central@dms.example", "second@dms.example"
MAIL = b"From: a@b.example\r\nTo: c@dms.example\r\nSubject: hello\r\n\r\n" + b"hi\r\n" * 200_000
LARGE = 32 << 20  # bytes


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    data = tmp_path_factory.mktemp("simulator") / "data"
    with running_simulator(data, [CENTRAL, SECOND], "--requests-per-window", "200") as started:
        yield started


@pytest.fixture
def graph(simulator: Simulator) -> Iterator[requests.Session]:
    with signed_in(simulator) as session:
        yield session
    simulator.admin.clear_faults()
    simulator.admin.set_latency(0)
    simulator.admin.reset_counters()


def inbox(simulator: Simulator, address: str = CENTRAL) -> str:
    return f"{simulator.graph_base_url}/users/{address}/mailFolders/inbox"


def test_the_fifth_request_at_a_time_of_a_mailbox_is_throttled(simulator: Simulator, graph: requests.Session) -> None:
    # Too large for the buffers between: each answer is on its way until it is read.
    state = simulator.admin.deliver(MAIL + bytes(LARGE), [CENTRAL])[0]
    large = f"{simulator.graph_base_url}/users/{CENTRAL}/messages/{state.id}/$value"
    with ExitStack() as open_answers:
        under_way = [open_answers.enter_context(graph.get(large, stream=True)) for _ in range(4)]
        throttled = graph.get(inbox(simulator))
        other = graph.get(inbox(simulator, SECOND))
        assert [len(answer.content) for answer in under_way] == [len(MAIL) + LARGE] * 4
    assert [answer.status_code for answer in (*under_way, other)] == [200] * 5
    assert throttled.status_code == 429
    assert throttled.headers["Retry-After"] == "1"
    error = throttled.json()["error"]
    assert error["code"] == "ApplicationThrottled"
    assert error["message"] == "Application is over its MailboxConcurrency limit."
    counts = simulator.admin.requests()
    assert counts.throttled == 1
    assert counts.max_concurrent[CENTRAL] == 4


def test_a_batch_counts_each_of_its_requests_four_at_a_time(simulator: Simulator, graph: requests.Session) -> None:
    simulator.admin.set_latency(20)
    steps = [{"id": str(n), "method": "GET", "url": f"/users/{CENTRAL}/mailFolders/inbox"} for n in range(20)]
    response = graph.post(f"{simulator.graph_base_url}/$batch", json={"requests": steps})
    assert {answer["status"] for answer in response.json()["responses"]} == {200}
    counts = simulator.admin.requests()
    assert counts.by_route["GET users/{user}/mailFolders/{folder}", 200] == 20
    assert counts.max_concurrent[CENTRAL] == 4
    assert counts.busy_seconds[CENTRAL] >= 20 * 0.02


def test_expired_tokens_get_401_and_a_new_one_works(simulator: Simulator, graph: requests.Session) -> None:
    assert simulator.admin.expire_tokens() >= 1
    refused = graph.get(inbox(simulator))
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "InvalidAuthenticationToken"
    graph.headers["Authorization"] = f"Bearer {new_token(simulator, graph)}"
    assert graph.get(inbox(simulator)).status_code == 200


def test_a_rule_hits_only_what_it_names_and_only_so_often(simulator: Simulator, graph: requests.Session) -> None:
    simulator.admin.add_fault(503, method="GET", path="/childFolders$", limit=2)
    statuses = [graph.get(inbox(simulator) + "/childFolders").status_code for _ in range(3)]
    assert graph.get(inbox(simulator)).status_code == 200
    assert statuses == [503, 503, 200]
    assert simulator.admin.fault_counters() == {"503": 2}


def test_the_same_seed_gives_the_same_faults(simulator: Simulator, graph: requests.Session) -> None:
    def draw() -> list[int]:
        simulator.admin.add_fault(429, 503, 504, 401, probability=0.5, seed=7)
        drawn = [graph.get(inbox(simulator)).status_code for _ in range(20)]
        simulator.admin.clear_faults()
        return drawn

    first = draw()
    assert draw() == first
    assert {200, 429} < set(first)


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_a_broken_connection_reaches_the_client_and_then_passes(
    simulator: Simulator, graph: requests.Session, kind: str
) -> None:
    state = simulator.admin.deliver(MAIL, [CENTRAL])[0]
    message = f"{simulator.graph_base_url}/users/{CENTRAL}/messages/{state.id}"
    simulator.admin.add_fault(kind, limit=2)
    for path in ("", "/$value"):
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            graph.get(message + path)
    assert graph.get(f"{message}/$value").content == MAIL


@pytest.mark.parametrize(("kind", "folder"), [("reset", "Inbox"), ("lost", "deleted")])
def test_a_lost_answer_has_its_effect_and_a_reset_has_none(
    simulator: Simulator, graph: requests.Session, kind: str, folder: str
) -> None:
    state = simulator.admin.deliver(MAIL, [CENTRAL])[0]
    simulator.admin.add_fault(kind, limit=1)
    with pytest.raises(requests.ConnectionError):
        graph.delete(f"{simulator.graph_base_url}/users/{CENTRAL}/messages/{state.id}")
    [now] = [message for message in simulator.admin.messages() if message.id == state.id]
    assert now.folder == folder


def test_a_page_comes_without_its_link_while_the_fault_lasts(simulator: Simulator, graph: requests.Session) -> None:
    for _ in range(2):
        simulator.admin.deliver(MAIL, [SECOND])
    url = f"{inbox(simulator, SECOND)}/messages?$top=1"
    assert "@odata.nextLink" in graph.get(url).json()
    simulator.admin.add_fault("no_next_link", limit=1)
    assert "@odata.nextLink" not in graph.get(url).json()


def test_an_unknown_kind_of_fault_is_refused(simulator: Simulator) -> None:
    with pytest.raises(AdminError, match="kinds must be of"):
        simulator.admin.add_fault("earthquake")


def test_during_an_outage_no_request_is_answered_and_afterwards_all_is_there(
    simulator: Simulator, graph: requests.Session
) -> None:
    assert graph.get(inbox(simulator)).status_code == 200
    simulator.admin.set_outage(on=True)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            graph.get(inbox(simulator))
    simulator.admin.deliver(MAIL, [CENTRAL])
    simulator.admin.set_outage(on=False)
    assert graph.get(inbox(simulator)).json()["totalItemCount"] >= 1


def test_users_move_rename_and_delete(simulator: Simulator, graph: requests.Session) -> None:
    del graph
    admin = simulator.admin
    state = admin.deliver(MAIL, [SECOND])[0]
    admin.move(state.id, "Archive")
    assert admin.folders(SECOND)["Archive"] == 1
    with pytest.raises(AdminError, match="ErrorDeleteDistinguishedFolder"):
        admin.delete_folder(SECOND, "Archive")
    admin.rename_folder(SECOND, "Archive", "Ablage")
    assert {m.id: m.folder for m in admin.messages()}[state.id] == "Ablage"


def test_waiting_ends_with_the_change_that_was_waited_for(simulator: Simulator) -> None:
    admin = simulator.admin
    known = len(admin.messages())
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(deliver_with_own_client, simulator)
        admin.wait_for(lambda: len(admin.messages()) > known)
        other.result()
    with pytest.raises(TimeoutError, match="waited 0 s for rain"):
        admin.wait_for(lambda: None, timeout=0, what="rain")


def deliver_with_own_client(simulator: Simulator) -> None:
    with running_session() as session:
        session.post(f"{simulator.admin.url}/deliver", params={"to": CENTRAL}, data=MAIL)


def running_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def test_more_than_the_window_allows_is_throttled(tmp_path: Path) -> None:
    with running_simulator(tmp_path / "data", [CENTRAL], "--requests-per-window", "3") as small:
        with signed_in(small) as session:
            answers = [session.get(inbox(small)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 590 <= int(answers[-1].headers["Retry-After"]) <= 600
