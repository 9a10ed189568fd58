"""A Graph endpoint at the transport seam of requests: records what is sent, and answers by script. No sockets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from ingest.graph.client import GraphClient

BASE_URL = "https://graph.example/v1.0"
TOKEN = "leaked-bearer-token"  # noqa: S105 - recognisable in each text that it would leak into


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it was sent. `path` is below the base URL and without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    timeout: object


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer. `content` as bytes, or as anything to be written as JSON.

    `cut`: the connection ends after so many bytes; `reset`: it is torn down there instead. `at_once`: no read gets more
    bytes than that.
    """

    status: int = 200
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    at_once: int | None = None


def error(status: int, code: str = "SomeCode", **headers: str) -> Answer:
    """Graph's shape of an error; header names with underscores for dashes."""
    body = {"error": {"code": code, "message": "leaked prose", "innerError": {"request-id": "r"}}}
    return Answer(status=status, content=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


class FakeGraph(BaseAdapter):
    """Answers in the order of the script; an exception in it is raised in the place of an answer."""

    def __init__(self, *script: Answer | Exception) -> None:
        super().__init__()
        self.script = list(script)
        self.requests: list[Request] = []

    def send(  # noqa: PLR0917 - requests' own signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - requests' own signature
        timeout: object = None,
        verify: object = True,  # noqa: ARG002, FBT002
        cert: object = None,  # noqa: ARG002
        proxies: object = None,  # noqa: ARG002
    ) -> requests.Response:
        self.requests.append(_recorded(request, timeout))
        assert self.script, f"one request more than the script has answers: {self.requests[-1]}"
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return _http_adapter.build_response(request, _raw(answer))

    def close(self) -> None:
        return


class FakeTokens:
    """A token source that counts how often the token was refused."""

    def __init__(self) -> None:
        self.forgotten = 0

    def token(self) -> str:
        return f"{TOKEN}-{self.forgotten}"

    def forget(self) -> None:
        self.forgotten += 1


class FakeTime:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FakeGate:
    """Lets everybody in, and knows who is inside."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.entered: list[str] = []

    @contextmanager
    def __call__(self, mailbox: str) -> Iterator[None]:
        self.inside.append(mailbox)
        self.entered.append(mailbox)
        try:
            yield
        finally:
            self.inside.remove(mailbox)


@dataclass
class Graph:
    """A client, and all that it was given."""

    endpoint: FakeGraph
    tokens: FakeTokens = field(default_factory=FakeTokens)
    time: FakeTime = field(default_factory=FakeTime)
    gate: FakeGate = field(default_factory=FakeGate)

    def __post_init__(self) -> None:
        self.client = GraphClient(
            base_url=BASE_URL,
            tokens=self.tokens,
            gate=self.gate,
            transport=self.endpoint,
            sleep=self.time.sleep,
            clock=self.time.clock,
        )

    @property
    def requests(self) -> list[Request]:
        return self.endpoint.requests

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Method and path of what was sent."""
        return [(request.method, request.path) for request in self.requests]


def graph(*script: Answer | Exception) -> Graph:
    """A client of an endpoint with this script."""
    return Graph(FakeGraph(*script))


_http_adapter = HTTPAdapter()


class _BreakingBody(io.BytesIO):
    """A body that ends early, with its connection."""

    def __init__(self, content: bytes, *, reset: bool, at_once: int | None) -> None:
        super().__init__(content)
        self._reset = reset
        self._at_once = at_once

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        if not block and self._reset:
            raise ConnectionResetError("leaked detail")
        return block

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size if self._at_once is None else min(self._at_once, size or self._at_once))


def _raw(answer: Answer) -> HTTPResponse:
    content = answer.content
    if content is None:
        content = b""
    elif not isinstance(content, bytes):
        content = json.dumps(content).encode()
    headers = {"Content-Length": str(len(content)), **answer.headers}
    sent = content if answer.cut is None else content[: answer.cut]
    return HTTPResponse(
        body=_BreakingBody(sent, reset=answer.reset, at_once=answer.at_once),
        status=answer.status,
        headers=headers,
        preload_content=False,
        request_method="GET",
    )


def _recorded(request: requests.PreparedRequest, timeout: object) -> Request:
    url = urlsplit(str(request.url))
    body = request.body
    return Request(
        method=str(request.method),
        path=url.path.removeprefix(urlsplit(BASE_URL).path),
        query=dict(parse_qsl(url.query)),
        headers=dict(request.headers),
        body=json.loads(body) if isinstance(body, str | bytes) else None,
        timeout=timeout,
    )
