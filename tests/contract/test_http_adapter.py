"""One host's adapter beside that of requests: the same answers and errors, and fewer connections."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import override

import pytest
import requests
from requests.adapters import HTTPAdapter

from ingest.http_adapter import OneHostAdapter
from local.graph.process import Simulator
from local.processes import free_port

ENCODED = gzip.compress(b"0123456789")
ANSWERS = {
    "/plain": b"HTTP/1.1 200 OK\r\nx-ms-One: two\r\nSet-Cookie: a=b\r\nContent-Length: 10\r\n\r\n0123456789",
    "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/refused": b'HTTP/1.1 409 Conflict\r\nContent-Length: 10\r\n\r\n{"a": "b"}',
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
    "/encoded": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ENCODED) + ENCODED,
    "/last": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
    "/cut-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n01",
    "/nothing": b"",
    "/nonsense": b"SSH-2.0-OpenSSH\r\n\r\n",
}
ENDING = ("/last", "/cut", "/cut-chunk", "/nothing", "/nonsense")  # the server closes after the answer


@dataclass(kw_only=True)
class Host:
    """A server with fixed answers. `requests`: what was asked, each with the number of its connection."""

    url: str
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    connections: int = 0


@pytest.fixture(scope="module")
def server() -> Iterator[Host]:
    class Handler(StreamRequestHandler):
        timeout = 60

        @override
        def handle(self) -> None:
            host.connections += 1
            number = host.connections
            while line := self.rfile.readline():
                asked = [line]
                while (name := self.rfile.readline()).strip():
                    asked.append(name)
                lengths = [int(name.split(b":")[1]) for name in asked if name.lower().startswith(b"content-length")]
                asked.append(self.rfile.read(sum(lengths)))
                host.requests.append((number, b"".join(asked)))
                path = line.split()[1].decode()
                if path == "/late":
                    released.wait()
                    return
                self.wfile.write(ANSWERS[path])
                if path in ENDING:
                    return

    class Server(ThreadingTCPServer):
        daemon_threads = True

    released = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as listening:
        host = Host(url=f"http://127.0.0.1:{listening.server_address[1]}")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield host
        released.set()
        listening.shutdown()


@pytest.fixture
def host(server: Host) -> Host:
    server.requests.clear()
    return server


@pytest.fixture(params=["requests", "ours"])
def adapter(request: pytest.FixtureRequest, host: Host) -> Iterator[HTTPAdapter]:
    one = HTTPAdapter() if request.param == "requests" else OneHostAdapter(f"{host.url}/v1.0", connections=2)
    yield one
    one.close()


@pytest.fixture
def ours(host: Host) -> Iterator[OneHostAdapter]:
    one = OneHostAdapter(f"{host.url}/v1.0", connections=2)
    yield one
    one.close()


def send(
    adapter: HTTPAdapter, url: str, *, method: str = "GET", body: bytes | None = None, stream: bool = False
) -> requests.Response:
    prepared = requests.Request(method, url, headers={"Accept-Encoding": "identity"}, data=body).prepare()
    return adapter.send(prepared, stream=stream, timeout=(5, 5), verify=True, proxies={})


@pytest.mark.parametrize("path", ["/plain", "/empty", "/refused", "/chunked", "/encoded", "/last"])
def test_an_answer_is_that_of_requests(adapter: HTTPAdapter, host: Host, path: str) -> None:
    for _ in range(2):
        answer = send(adapter, f"{host.url}{path}")
        expected = {"/empty": b"", "/refused": b'{"a": "b"}'}.get(path, b"0123456789")
        assert (answer.content, answer.status_code) == (expected, int(ANSWERS[path].split()[1]))
        assert answer.headers.get("X-MS-ONE") == ("two" if path == "/plain" else None)


@pytest.mark.parametrize("path", ["/cut", "/cut-chunk", "/nothing", "/nonsense"])
def test_half_an_answer_is_an_error_of_requests_and_the_next_answer_is_whole(
    adapter: HTTPAdapter, host: Host, path: str
) -> None:
    with pytest.raises(requests.RequestException):
        _ = send(adapter, f"{host.url}{path}").content
    assert send(adapter, f"{host.url}/plain").content == b"0123456789"


def test_a_content_that_is_read_as_it_comes_ends_where_it_is_cut(ours: OneHostAdapter, host: Host) -> None:
    with send(ours, f"{host.url}/cut", stream=True) as answer:
        assert answer.raw.read1(100) == b"01234"
        with pytest.raises(requests.RequestException, match="5 bytes are missing"):
            answer.raw.read1(100)


def test_an_encoded_content_is_decoded_although_none_was_asked_for(ours: OneHostAdapter, host: Host) -> None:
    with send(ours, f"{host.url}/encoded", stream=True) as answer:
        assert b"".join(iter(lambda: answer.raw.read1(4, decode_content=True), b"")) == b"0123456789"


def test_a_body_arrives(adapter: HTTPAdapter, host: Host) -> None:
    send(adapter, f"{host.url}/plain", method="PUT", body=b"abc" * 50_000).close()
    assert host.requests[0][1].endswith(b"\r\n" + b"abc" * 50_000)


def test_a_server_that_does_not_answer_is_a_timeout(adapter: HTTPAdapter, host: Host) -> None:
    prepared = requests.Request("GET", f"{host.url}/late").prepare()
    prepared.headers["Accept-Encoding"] = "identity"
    with pytest.raises(requests.ReadTimeout):
        adapter.send(prepared, timeout=(5, 0.05), proxies={})


@pytest.mark.parametrize("kind", ["requests", "ours"])
def test_a_port_where_no_server_listens_is_a_connection_error(kind: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(requests.ConnectionError):
        send(HTTPAdapter() if kind == "requests" else OneHostAdapter(url, connections=1), url)


def test_a_connection_is_kept_with_the_last_byte_of_an_answer(ours: OneHostAdapter, host: Host) -> None:
    for path in ("/plain", "/empty", "/refused", "/chunked"):
        with send(ours, f"{host.url}{path}", stream=True) as answer:
            _ = answer.content
    assert len({number for number, _ in host.requests}) == 1


def test_a_connection_with_an_answer_that_is_not_read_is_closed(ours: OneHostAdapter, host: Host) -> None:
    send(ours, f"{host.url}/plain", stream=True).close()
    assert send(ours, f"{host.url}/plain").content == b"0123456789"
    assert len({number for number, _ in host.requests}) == 2


def test_no_cookie_is_kept(ours: OneHostAdapter, host: Host) -> None:
    with send(ours, f"{host.url}/plain") as answer:
        assert len(answer.cookies) == 0


def test_a_url_that_only_begins_like_that_of_the_host_leads_elsewhere(host: Host) -> None:
    ours = OneHostAdapter("http://localhost", connections=1)
    assert send(ours, f"http://localhost:{host.url.rpartition(':')[2]}/plain").content == b"0123456789"


@pytest.mark.parametrize("kind", ["requests", "ours"])
def test_a_certificate_that_the_bundle_does_not_vouch_for_is_refused(kind: str, simulator: Simulator) -> None:
    url = simulator.endpoint.graph_base_url
    with pytest.raises(requests.exceptions.SSLError):
        send(HTTPAdapter() if kind == "requests" else OneHostAdapter(url, connections=1), f"{url}/users")


@pytest.mark.parametrize("kind", ["requests", "ours"])
def test_a_bundle_that_is_missing_is_an_error_of_each_request(kind: str, tmp_path: Path) -> None:
    url = "https://graph.example/v1.0"
    adapter = HTTPAdapter() if kind == "requests" else OneHostAdapter(url, connections=1)
    prepared = requests.Request("GET", f"{url}/a", headers={"Accept-Encoding": "identity"}).prepare()
    for _ in range(2):
        with pytest.raises(OSError, match="CA certificate bundle"):
            adapter.send(prepared, timeout=(1, 1), verify=str(tmp_path / "none.pem"), proxies={})
