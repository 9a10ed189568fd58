"""One request to Graph and its answer, independent of HTTP, so that `$batch` and a socket go the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.graph.http.errors import bad_request
from local.graph.mail.content import Content, Patched

# A JSON object as it travels; the routes validate what they take from it.
type Json = dict[str, Any]

IMMUTABLE_ID = 'IdType="ImmutableId"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """`segments` are the decoded path below the version, keys in parentheses taken apart.

    Header names are in lower case. `query` keeps the spelling of values; option names start with `$`.
    `base_url` ends with the version (`https://localhost:1234/v1.0`); `path` is what followed it, as sent.
    """

    method: str
    base_url: str
    path: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def immutable_ids(self) -> bool:
        """True where the client asked for ids that survive a move; the preference is case-sensitive."""
        return IMMUTABLE_ID in self.headers.get("prefer", "")

    def json_object(self) -> Json:
        """Take the body as a JSON object; 400 where it is something else."""
        if not isinstance(self.body, dict):
            raise bad_request("Empty Payload. JSON content expected.")
        return self.body


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """`json` or `content` (a file that is streamed), never both."""

    status: int = 200
    json: object = None
    content: Content | Patched | None = None
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


NO_CONTENT = Response(status=204)
