"""All exchanges as JSON lines, in the words of Microsoft's own service, for a checker to read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from local.graph.mail.exchange import Json, Request, Response

_PUBLIC_BASE = "https://graph.microsoft.com/v1.0"
_HIDDEN = "***"
_SECRET_NAMES = frozenset({"clientState"})
_SECRET_HEADERS = frozenset({"authorization", "cookie"})
# Base64 of whole documents would make the log as large as all mails together.
_LONGEST_CONTENT = 512


class TrafficLog:
    """Appends one line per exchange or notification; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def exchange(self, request: Request, query: str, response: Response) -> None:
        """Write a request and its answer; tokens and clientState are left out."""
        if self._file is None:
            return
        self._write(
            {
                "method": request.method,
                "url": f"{_PUBLIC_BASE}{request.path}{'?' + query if query else ''}",
                "request_headers": {k: v for k, v in request.headers.items() if k not in _SECRET_HEADERS},
                "request_body": None if isinstance(request.body, bytes) else _cleaned(request.body),
                "status": response.status,
                "response_headers": {name.lower(): value for name, value in response.headers.items()},
                "response_body": _cleaned(response.json),
            }
        )

    def notification(self, body: Json) -> None:
        """Write a notification as it went out."""
        if self._file is not None:
            self._write({"notification": _cleaned(body)})

    def close(self) -> None:
        """Everything is on disk."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is not None:
            # ASCII only: a mail may hold characters that some readers take for the end of a line.
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def _cleaned(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _cleaned_member(name, member) for name, member in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


def _cleaned_member(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if name in _SECRET_NAMES and value is not None:
        return _HIDDEN
    if name == "contentBytes" and isinstance(value, str):
        return value[:_LONGEST_CONTENT]
    return _cleaned(value)
