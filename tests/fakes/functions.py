"""The functions of function_app as the worker would call them, without a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import azure.functions as func

import function_app
from ingest.wiring import App

FUNCTIONS: dict[str, Callable[..., Any]] = {
    str(function.get_function_name()): function.get_user_function() for function in function_app.app.get_functions()
}


class FakeOut:
    """A queue output. `Out.set` replaces, so that setting it twice would lose messages."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.sets = 0

    def set(self, values: list[str]) -> None:
        self.sets += 1
        self.values = values


def post(
    name: str, body: bytes, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[func.HttpResponse, list[str]]:
    """Call an HTTP function; its response, and what it has enqueued."""
    request = func.HttpRequest(
        method="POST",
        url=f"https://app.example/api/graph/{name}",
        headers=headers or {},
        params=params or {},
        route_params={},
        body=body,
    )
    out = FakeOut()
    response: func.HttpResponse = FUNCTIONS[name](request, out)
    assert out.sets <= 1
    return response, out.values


def queue_message(text: str | bytes) -> func.QueueMessage:
    return func.QueueMessage(id="q1", body=text)


def app(**parts: object) -> App:
    """As much of an app as a test needs; a test that asks for more gets an AttributeError."""

    class Parts:
        pass

    some = Parts()
    for name, part in parts.items():
        setattr(some, name, part)
    return cast("App", some)
