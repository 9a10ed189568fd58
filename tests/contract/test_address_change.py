"""A name that leads to another address from one moment to the next, as after a failover or a move of an endpoint.

The old server is a proxy at 127.0.0.2, which ends; the new one is the real server behind it. Names are looked up by the
operating system's resolver, which these tests stand in for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from ingest.graph.client import GraphClient
from ingest.graph.credentials import ClientCredentials
from ingest.storage.database import Database
from local.graph.process import Simulator
from local.postgres import Postgres
from tests.chaos.proxy import Proxy

OLD, NEW = "127.0.0.2", "127.0.0.1"
SERVER = "server.example"
LOCAL = "localhost"  # the simulator's certificate is made for this name


def _has(address: str) -> bool:
    try:
        with socket.create_server((address, 0)):
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _has(OLD), reason=f"{OLD} is no address of this machine: Linux has all of 127/8")


class Names:
    """The resolver: the two names of these tests lead to `address`."""

    def __init__(self, resolve: Callable[..., object]) -> None:
        self.address = OLD
        self._resolve = resolve

    def __call__(self, host: str | bytes | None, *rest: object, **more: object) -> object:
        return self._resolve(self.address if host in {SERVER, LOCAL} else host, *rest, **more)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


def test_a_pooled_session_with_postgres_moves_to_the_new_address(postgres: Postgres, names: Names) -> None:
    port = urlsplit(postgres.app_url).port or 0
    url = postgres.app_url.replace("@127.0.0.1:", f"@{SERVER}:")
    with closing(Database(url)) as database:
        with Proxy("old", lambda: port, seed=1, address=(OLD, port)) as old:
            assert database.one("ask", "select 1 as answer") == {"answer": 1}
            assert old.calls > 0
        names.address = NEW
        assert database.one("ask", "select 2 as answer") == {"answer": 2}  # without one failure in between


@pytest.fixture
def tokens(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> ClientCredentials:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
    return ClientCredentials(
        client_id=simulator.identity.client_id,
        tenant_id=simulator.identity.tenant_id,
        authority_host=simulator.authority_host.replace(LOCAL, "127.0.0.1"),
        graph_base_url=simulator.graph_base_url,
        secret=simulator.identity.client_secret,
        certificate=None,
    )


def test_a_connection_with_graph_moves_to_the_new_address(
    simulator: Simulator, names: Names, tokens: ClientCredentials
) -> None:
    split = urlsplit(simulator.graph_base_url)
    port = split.port or 0
    waits: list[float] = []
    base_url = f"https://{LOCAL}:{port}{split.path}"
    with closing(GraphClient(base_url=base_url, tokens=tokens, sleep=waits.append)) as graph:
        with Proxy("old", lambda: port, seed=1, address=(OLD, port)) as old:
            graph.request("list_subscriptions", "GET", "/subscriptions")
            assert old.calls > 0
        names.address = NEW
        graph.request("list_subscriptions", "GET", "/subscriptions")
    assert len(waits) <= 1  # a connection that the old server closed costs one retry at most
