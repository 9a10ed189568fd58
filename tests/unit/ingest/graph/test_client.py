"""One way to send a request to Graph: authenticated, timed, retried within bounds, telling nothing secret."""

import itertools
import traceback
from collections.abc import Callable

import pytest
import requests
from urllib3.exceptions import ProtocolError

from ingest.errors import (
    ContentInterrupted,
    GraphForbidden,
    GraphRefused,
    GraphThrottled,
    GraphUnavailable,
    IngestError,
    NotFound,
)
from ingest.graph.client import STREAM_BLOCK, STREAM_GRACE, STREAM_RATE, GraphClient
from ingest.graph.retry import MAX_ATTEMPTS, MAX_BACKOFF_SECONDS, TOTAL_SECONDS
from tests.fakes.graph_endpoint import BASE_URL, TOKEN, Answer, FakeGraph, FakeTokens, Graph, error, graph
from tests.fakes.values import MAILBOX

OK = Answer(content={"id": "A1"})
OUTLOOK_LIMIT = "ApplicationThrottled"


def get(one: Graph) -> dict[str, object]:
    return one.client.request("get_message", "GET", "/users/x/messages/A1", mailbox=MAILBOX).body


def read(one: Graph) -> bytes:
    with one.client.stream("get_mime", "/users/x/messages/A1/$value", mailbox=MAILBOX) as blocks:
        return b"".join(blocks)


# What every request carries


def test_every_request_is_authenticated_timed_and_wants_immutable_ids() -> None:
    one = graph(OK, Answer(content=b"mime"))
    get(one)
    read(one)
    for request in one.requests:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}-0"
        assert request.headers["Prefer"] == 'IdType="ImmutableId"'
        assert request.timeout == (5.0, 30.0)


def test_a_netrc_of_the_machine_does_not_replace_the_token(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123 - the name goes to the environment anyway
        file.write("machine graph.example login me password mine\n")
    monkeypatch.setenv("NETRC", netrc)
    one = graph(OK)
    get(one)
    assert one.requests[0].headers["Authorization"] == f"Bearer {TOKEN}-0"


def test_a_next_link_is_taken_verbatim() -> None:
    one = graph(OK)
    one.client.request("list", "GET", f"{BASE_URL}/users/x/messages?$skip=10&$top=5")
    assert one.calls == [("GET", "/users/x/messages")]
    assert one.requests[0].query == {"$skip": "10", "$top": "5"}


@pytest.mark.parametrize("host", ["evil.example", "graph.example.evil", "graph.example:8443", "x@evil.example"])
def test_a_next_link_to_another_host_gets_no_token(host: str) -> None:
    one = graph()
    with pytest.raises(GraphUnavailable, match="another host"):
        one.client.request("list", "GET", f"https://{host}/v1.0/users/x/messages")
    assert one.requests == []


def test_an_answer_without_a_body_is_empty() -> None:
    assert get(graph(Answer(status=204))) == {}


# Retries


@pytest.mark.parametrize("status", [408, 423, 429, 500, 502, 503, 504, 509])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    one = graph(error(status), OK)
    assert get(one) == {"id": "A1"}
    assert len(one.time.slept) == 1
    assert 0 <= one.time.slept[0] <= MAX_BACKOFF_SECONDS


@pytest.mark.parametrize(
    "trouble",
    [
        requests.ConnectionError("leaked"),
        requests.Timeout("leaked"),
        requests.exceptions.ChunkedEncodingError("leaked"),
        ProtocolError("leaked"),
        ConnectionResetError("leaked"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_connection_that_fails_is_tried_again_and_then_given_up(trouble: Exception) -> None:
    assert get(graph(trouble, OK)) == {"id": "A1"}
    with pytest.raises(GraphUnavailable, match=f"after {MAX_ATTEMPTS} attempts"):
        get(graph(*[trouble] * MAX_ATTEMPTS))


def test_an_answer_that_breaks_off_is_tried_again() -> None:
    assert get(graph(Answer(content={"id": "A1"}, cut=3), OK)) == {"id": "A1"}


def test_throttling_ends_after_bounded_attempts() -> None:
    one = graph(*[error(429, OUTLOOK_LIMIT, Retry_After="1.5")] * MAX_ATTEMPTS)
    with pytest.raises(GraphThrottled, match=OUTLOOK_LIMIT) as throttled:
        get(one)
    assert throttled.value.retry_after == 1.5
    assert len(one.requests) == MAX_ATTEMPTS
    assert one.time.slept == [1.5] * (MAX_ATTEMPTS - 1)


def test_throttling_ends_in_bounded_time() -> None:
    one = graph(*[error(429, OUTLOOK_LIMIT, Retry_After="40")] * MAX_ATTEMPTS)
    with pytest.raises(GraphThrottled):
        get(one)
    assert sum(one.time.slept) <= TOTAL_SECONDS
    assert len(one.requests) == 3


def test_a_wait_that_is_too_long_gives_the_message_back_to_the_queue_at_once() -> None:
    one = graph(error(503, Retry_After="3600"))
    with pytest.raises(GraphUnavailable) as unavailable:
        get(one)
    assert unavailable.value.retry_after == 3600
    assert one.time.slept == []


def test_slow_answers_count_toward_the_time_limit() -> None:
    one = graph(*[error(503)] * MAX_ATTEMPTS)
    slow = one.endpoint.send

    def send(*args: object, **options: object) -> requests.Response:
        one.time.now += 50
        return slow(*args, **options)  # type: ignore[arg-type]  # passed on as they come

    one.endpoint.send = send  # type: ignore[method-assign]  # the same endpoint, slower
    with pytest.raises(GraphUnavailable):
        get(one)
    assert len(one.requests) == 2


# Tokens


def test_a_refused_token_is_replaced_once() -> None:
    one = graph(error(401, "InvalidAuthenticationToken"), OK)
    assert get(one) == {"id": "A1"}
    assert [request.headers["Authorization"] for request in one.requests] == [f"Bearer {TOKEN}-0", f"Bearer {TOKEN}-1"]
    assert one.time.slept == []


def test_a_fresh_token_that_is_refused_ends_it() -> None:
    one = graph(error(401), error(503, Retry_After="0"), error(401))
    with pytest.raises(GraphUnavailable, match="refuses a fresh token"):
        get(one)
    assert one.tokens.forgotten == 2


# Answers that another attempt would not change


def test_404_is_not_found() -> None:
    one = graph(error(404, "ErrorItemNotFound"))
    with pytest.raises(NotFound):
        get(one)
    assert len(one.requests) == 1


@pytest.mark.parametrize("code", ["MailboxNotEnabledForRESTAPI", "ErrorInvalidUser", "without an error code"])
def test_a_mailbox_that_is_away_takes_none_of_its_mails_with_it(code: str) -> None:
    with pytest.raises(GraphUnavailable):
        get(graph(error(404, code)))


@pytest.mark.parametrize(("status", "code"), [(507, "x"), (520, "x"), (529, "x"), (409, "ErrorIrresolvableConflict")])
def test_what_passes_by_itself_is_no_defect(status: int, code: str) -> None:
    assert get(graph(error(status, code), Answer(content=b"{}"))) is not None


def test_an_id_that_no_message_can_have_is_an_id_of_nothing() -> None:
    with pytest.raises(NotFound):
        get(graph(error(400, "ErrorInvalidIdMalformed")))


def test_403_is_configuration_and_waits() -> None:
    with pytest.raises(GraphForbidden, match="403 ErrorAccessDenied"):
        get(graph(error(403, "ErrorAccessDenied")))


@pytest.mark.parametrize("status", [400, 405, 409, 410, 413])
def test_other_refusals_are_our_own_fault(status: int) -> None:
    with pytest.raises(GraphRefused) as refused:
        get(graph(error(status, "ErrorInvalidRequest")))
    assert (refused.value.status, refused.value.code) == (status, "ErrorInvalidRequest")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"null", b'{"error":"x"}', b'{"error":{"code":null}}', b"\xff"]
)
def test_an_error_of_any_shape_is_raised_as_graph_refused(content: bytes) -> None:
    with pytest.raises(GraphRefused):
        get(graph(Answer(status=400, content=content)))


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
def test_a_redirect_is_not_an_answer(status: int) -> None:
    away = Answer(status=status, content=b"<html>elsewhere</html>", headers={"Location": "https://evil.example/"})
    for call in (get, read):
        one = graph(away)
        with pytest.raises(GraphUnavailable, match=str(status)):
            call(one)
        assert len(one.requests) == 1


def test_an_answer_that_is_no_json_is_not_this_mails_fault() -> None:
    with pytest.raises(GraphUnavailable, match="not JSON"):
        get(graph(Answer(content=b"<html>A proxy says hello</html>")))


# Streams


def test_a_stream_comes_whole_in_blocks_of_bounded_size() -> None:
    content = bytes(range(256)) * 4096
    one = graph(Answer(content=content))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        parts = list(blocks)
    assert b"".join(parts) == content
    assert max(map(len, parts)) <= STREAM_BLOCK
    assert one.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, 300_000])
def test_a_stream_that_ends_early_is_never_taken_for_whole(after: int, *, reset: bool) -> None:
    one = graph(Answer(content=b"x" * 300_001, cut=after, reset=reset))
    with pytest.raises(ContentInterrupted) as interrupted:
        read(one)
    assert "leaked" not in str(interrupted.value)


def test_a_stream_that_only_drips_is_given_up() -> None:
    one = graph(Answer(content=b"x" * (2 * STREAM_BLOCK)))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        next(blocks)
        one.time.now += STREAM_GRACE + 2 * STREAM_BLOCK / STREAM_RATE + 1
        with pytest.raises(GraphUnavailable, match="too slow"):  # and not started over in the same invocation
            next(blocks)


def test_a_stream_that_drips_holds_its_place_no_longer_than_its_bytes_need() -> None:
    one = graph(Answer(content=b"x" * 1000, at_once=1))  # far less than a block: no reader waits for one
    seconds = itertools.count()
    client = GraphClient(
        base_url=BASE_URL,
        tokens=one.tokens,
        gate=one.gate,
        transport=one.endpoint,
        sleep=one.time.sleep,
        clock=lambda: float(next(seconds)),  # a second for each byte
    )
    with (
        client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks,
        pytest.raises(GraphUnavailable, match="too slow"),
    ):
        next(blocks)
    assert next(seconds) < STREAM_GRACE + 5
    assert one.gate.inside == []


def test_a_slow_stream_of_a_large_mail_has_its_time() -> None:
    one = graph(Answer(content=b"x" * (20 * STREAM_BLOCK)))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        for _ in blocks:
            one.time.now += STREAM_BLOCK / STREAM_RATE


@pytest.mark.parametrize("at_once", [1, 1000, STREAM_BLOCK - 1])
def test_small_reads_are_handed_on_in_blocks(at_once: int) -> None:
    content = bytes(range(256)) * (STREAM_BLOCK // 256 + 10) if at_once > 1 else bytes(range(256))
    one = graph(Answer(content=content, at_once=at_once))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        parts = list(blocks)
    assert b"".join(parts) == content
    assert len(parts) == -(-len(content) // STREAM_BLOCK)


def test_an_empty_stream_is_one() -> None:
    assert read(graph(Answer(content=b""))) == b""


def test_opening_a_stream_is_retried_as_any_request() -> None:
    assert read(graph(error(429, OUTLOOK_LIMIT, Retry_After="1"), error(401), Answer(content=b"mime"))) == b"mime"


# The gate


def test_the_gate_is_held_until_the_content_is_read() -> None:
    one = graph(Answer(content=b"x" * 1_000_000))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        next(blocks)
        assert one.gate.inside == [MAILBOX]
    assert one.gate.inside == []


def test_the_gate_is_left_before_the_last_block_is_worked_on() -> None:
    one = graph(Answer(content=b"x" * (STREAM_BLOCK + 1)))
    with one.client.stream("get_mime", "/x/$value", mailbox=MAILBOX) as blocks:
        held = [list(one.gate.inside) for _ in blocks]
    assert held == [[MAILBOX], []]


def test_the_gate_is_not_held_while_waiting_for_a_retry() -> None:
    one = graph(error(429, OUTLOOK_LIMIT, Retry_After="5"), OK)
    held: list[int] = []
    sleep = one.time.sleep

    def watching(seconds: float) -> None:
        held.append(len(one.gate.inside))
        sleep(seconds)

    client = GraphClient(base_url=BASE_URL, tokens=FakeTokens(), gate=one.gate, transport=one.endpoint, sleep=watching)
    client.request("get", "GET", "/x", mailbox=MAILBOX)
    assert held == [0]
    assert one.gate.entered == [MAILBOX, MAILBOX]


@pytest.mark.parametrize("trouble", [error(404), error(400), error(403), Answer(content=b"<")])
def test_the_gate_is_left_after_every_end_of_a_request(trouble: Answer) -> None:
    one = graph(trouble)
    with pytest.raises(IngestError):
        get(one)
    assert one.gate.inside == []


def test_what_is_no_mailboxs_needs_no_place() -> None:
    one = graph(OK)
    one.client.request("list_subscriptions", "GET", "/subscriptions")
    assert one.gate.entered == []


# Nothing secret


def failures() -> list[tuple[Callable[[Graph], object], list[Answer | Exception]]]:
    trouble = requests.ConnectionError(f"https://graph.example/?token={TOKEN}")
    return [
        (get, [trouble] * MAX_ATTEMPTS),
        (get, [error(401), error(401)]),
        (get, [error(403)]),
        (get, [error(404)]),
        (get, [error(400)]),
        (get, [error(503, Retry_After="9999")]),
        (get, [Answer(content=b"leaked prose")]),
        (read, [Answer(content=b"leaked prose", cut=3, reset=True)]),
    ]


@pytest.mark.parametrize(("call", "script"), failures())
def test_no_exception_quotes_a_token_or_an_answers_content(
    call: Callable[[Graph], object], script: list[Answer | Exception]
) -> None:
    with pytest.raises(IngestError) as failed:
        call(Graph(FakeGraph(*script)))
    shown = "".join(traceback.format_exception(failed.value, chain=True)).splitlines()
    # Quoted source lines are this test's and the app's own; what matters are the exceptions' texts.
    told = [line for line in shown if not line.startswith(" ")]
    assert not [line for line in told if "leaked" in line]
