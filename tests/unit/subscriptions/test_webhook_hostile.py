"""10,000 hostile posts through the real functions: the webhook withstands each of them.

Bodies, query strings and headers are generated; half of the bodies are Graph's own shape with pieces replaced, so
that they get past the first check. What is drawn is posted in every combination, as drawing costs more than
posting. Texts hold no lone surrogates: the host hands over protobuf strings, which have none. In JSON's escapes
(`\\ud800`) they do come.
"""

import itertools
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingest import wiring
from ingest.model.message_ref import MessageRef
from subscriptions.notifications import MAX_BODY, SubscriptionEvent
from tests.fakes.functions import post
from tests.fakes.payloads import payload
from tests.fakes.values import CLIENT_STATE, ENVIRONMENT, MAILBOX, OLD_CLIENT_STATE

pytestmark = pytest.mark.usefixtures("unmeasured")

MARK = "<script>hostile</script>"
SECRETS = (CLIENT_STATE, OLD_CLIENT_STATE)

texts = st.one_of(
    st.sampled_from(
        [
            MARK,
            "",
            "\0",
            "\r\nX-Injected: 1",
            "' or 1=1 --",
            "../../etc/passwd",
            "${jndi:ldap://x}",
            "%00%0d%0a",
            "\u202e",
            MAILBOX,
            "A" * 5000,
            f"users/{MAILBOX}/messages/A1",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
states = st.one_of(st.sampled_from([*SECRETS, CLIENT_STATE.upper(), CLIENT_STATE[:-1], "", "\ud800"]), texts)
odd = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.floats(), st.just([]), st.just({}), st.just([[{}]]))
items = st.one_of(
    odd,
    st.fixed_dictionaries(
        {"clientState": st.one_of(states, odd)},
        optional={
            "resource": odd,
            "resourceData": st.one_of(odd, st.fixed_dictionaries({"id": odd})),
            "subscriptionId": odd,
            "lifecycleEvent": odd,
            "changeType": odd,
            MARK: odd,
        },
    ),
)
shaped = st.builds(
    lambda value, more: json.dumps({"value": value, **more}).encode(),
    st.one_of(st.lists(items, max_size=4), odd),
    st.dictionaries(texts, odd, max_size=1),
)
cut = st.builds(lambda body, end: body[:end], shaped, st.integers(0, 200))
bodies = st.one_of(shaped, shaped, cut, st.binary(max_size=60), texts.map(str.encode), st.just(b"[" * 50_000))
queries = st.dictionaries(
    st.one_of(st.sampled_from(["mailbox", "state", "code", "validationToken"]), texts), texts, max_size=2
)
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Forwarded-For", "Content-Length", "X"]), texts, max_size=1
)


@pytest.fixture(scope="module", autouse=True)
def configured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        wiring.settings.cache_clear()
        yield
        wiring.settings.cache_clear()


def known_secrets(body: bytes) -> int:
    """Return the number of items that prove their origin, found the simplest way."""
    try:
        value: Any = json.loads(body)["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    found = value if isinstance(value, list) else []
    return sum(isinstance(item, dict) and item.get("clientState") in SECRETS for item in found)


BODIES, QUERIES = 5, 2
NAMES = ("notifications", "lifecycle")


@pytest.mark.thorough
@settings(
    max_examples=10_000 // (BODIES * QUERIES * len(NAMES)),
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(bodies, min_size=BODIES, max_size=BODIES), st.lists(queries, min_size=QUERIES, max_size=QUERIES), headers
)
def test_no_post_makes_the_webhook_something_else(
    drawn_bodies: list[bytes], drawn_queries: list[dict[str, str]], sent_headers: dict[str, str]
) -> None:
    for body in drawn_bodies:
        known = known_secrets(body)
        for name, query in itertools.product(NAMES, drawn_queries):
            check(name, body, query, sent_headers, known)


def check(name: str, body: bytes, query: dict[str, str], sent_headers: dict[str, str], known: int) -> None:
    response, enqueued = post(name, body, query, sent_headers)
    assert response.status_code in {200, 202, 400}
    assert len(enqueued) <= known
    for text in enqueued:
        read = MessageRef.from_json if name == "notifications" else SubscriptionEvent.from_json
        assert read(text).mailbox == MAILBOX
        assert not any(secret in text for secret in SECRETS)
        assert len(text) < 48 * 1024
    if response.status_code == 200:  # the handshake, which is to be echoed, as what no browser runs
        assert response.get_body().decode() == query["validationToken"]
        assert response.mimetype == "text/plain"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert enqueued == []
    else:
        assert MARK.encode() not in response.get_body()
        assert len(response.get_body()) < 200
        assert "validationToken" not in query or len(query["validationToken"]) > 4096


@pytest.mark.parametrize(
    "piece",
    [b"{}", json.dumps({"clientState": CLIENT_STATE}).encode()],
    ids=["strangers", "malformed"],
)
def test_the_largest_body_takes_bounded_memory(piece: bytes) -> None:
    count = (MAX_BODY - 12) // (len(piece) + 1)
    body = b'{"value":[' + b",".join([piece] * count) + b"]}"
    assert len(body) <= MAX_BODY
    tracemalloc.start()
    try:
        response, enqueued = post("notifications", body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (response.status_code, enqueued) == (400, [])  # more items than any post of Graph's has
    assert peak < 40 * MAX_BODY


NESTED = [b"[" * 20 + b"1" + b"]" * 20, b'{"":' * 400 + b"1" + b"}" * 400, b'[{"":' * 100 + b"1" + b"}]" * 100]


@pytest.mark.parametrize("piece", [b"{}", b"1", b"[]", b'"x":1', b'{"clientState":"x"}', *NESTED])
def test_a_body_of_many_small_values_is_refused_before_it_is_parsed(piece: bytes) -> None:
    body = b'{"value":[' + b",".join([piece] * (MAX_BODY // (len(piece) + 2))) + b"]}"
    response, enqueued = post("notifications", body)
    assert (response.status_code, enqueued) == (400, [])


def test_the_largest_post_of_graphs_own_shape_is_taken() -> None:
    item = json.loads(payload("notifications/one"))["value"][0]
    found = [item | {"resourceData": {"id": f"A{number}"}} for number in range(1500)]
    response, enqueued = post("notifications", json.dumps({"value": found}).encode())
    assert response.status_code == 202
    assert len(enqueued) == 1500
