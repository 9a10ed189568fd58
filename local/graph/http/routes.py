"""Paths of Graph → handlers. Names of segments are matched without regard to case, ids with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from local.graph.http.errors import GraphError, no_such_segment
from local.graph.mail.exchange import Request, Response

type Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The target of a path; requests are counted under its `pattern` (`users/{user}/messages`)."""

    pattern: str
    handler: Handler
    parameters: dict[str, str]


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    name: str = ""
    pattern: str = ""
    handlers: dict[str, Handler] = field(default_factory=dict)


class Routes:
    """A tree of path segments."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """`{name}` in the pattern stands for one segment."""
        node = self._root
        for segment in pattern.split("/"):
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
                node.name = segment[1:-1]
            else:
                node = node.literal.setdefault(segment.lower(), _Node())
        node.pattern = pattern
        node.handlers[method] = handler

    def find(self, method: str, segments: tuple[str, ...]) -> Route:
        """400 where the path leads nowhere, 405 where it does but not with this method."""
        node = self._root
        parameters = {}
        for segment in segments:
            child = node.literal.get(segment.lower())
            if child is None:
                child = node.parameter
                if child is None:
                    raise no_such_segment(segment)
                parameters[child.name] = segment
            node = child
        if not node.handlers:
            raise no_such_segment(segments[-1] if segments else "")
        handler = node.handlers.get(method)
        if handler is None:
            raise GraphError(405, "MethodNotAllowed", f"{method} is not allowed on this resource.")
        return Route(pattern=node.pattern, handler=handler, parameters=parameters)


def split_path(path: str) -> tuple[str, ...]:
    """`users/a%40b/mailFolders('inbox')` → users, a@b, mailFolders, inbox."""
    segments = []
    for segment in path.strip("/").split("/"):
        text = unquote(segment)
        if text.endswith("')") and "('" in text:
            name, _, key = text.partition("('")
            segments += [name, key[:-2].replace("''", "'")]
        else:
            segments.append(text)
    return tuple(segments)
