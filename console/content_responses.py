"""Answers with a stranger's content: to look at in a sandbox, or to keep as a file. No cookie is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from console.access import Person
from console.content_links import Content, Form, Links
from console.guard import RateLimit
from console.pdf_pages import render
from console.preview import IMAGES, MAX_PDF, MAX_TEXT, head
from console.service import Contents
from ingest.errors import BlobMissing


class ContentResponses:
    """Answers to links: a part to look at, a part or an original to keep."""

    def __init__(self, service: Contents, links: Links, limit: RateLimit, policy: str) -> None:
        self._service = service
        self._links = links
        self._limit = limit
        self._policy = policy

    def answer(self, request: Request) -> Response:
        """Answer with the content that a link names, within the rate limit, in a sandbox."""
        content = self._links.read(request.path_params["link"])
        if content is None:
            return PlainTextResponse("This link is void or too old. Load the page again.", status_code=404)
        if not self._limit.allows(_account(request)):
            return PlainTextResponse("Too many downloads in a minute. Wait a moment.", status_code=429)
        try:
            blocks = self._service.read(content.container, content.blob_name)
            answer = self._preview(content, blocks) if content.form is Form.PREVIEW else _download(content, blocks)
        except BlobMissing:
            return PlainTextResponse("The blob is missing. See: python -m ingest messages verify", status_code=404)
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return answer

    def _preview(self, content: Content, blocks: Iterator[bytes]) -> Response:
        if content.media_type in IMAGES:
            return StreamingResponse(_started(blocks), media_type=content.media_type)
        if content.media_type == "application/pdf":
            drawn = render(head(blocks, MAX_PDF), content.page)
            if drawn is None:
                return PlainTextResponse("This PDF can't be drawn.", status_code=404)
            return Response(drawn.png, media_type="image/png")
        text = head(blocks, MAX_TEXT)
        if content.media_type == "text/html":
            return Response(text, media_type="text/html")
        return PlainTextResponse(_decoded(text))


def _account(request: Request) -> str:
    """Return the key of the rate limit: the account. Content of a local page is asked for without one: its address.

    Behind App Service the address is that of the front end, and the same for all people.
    """
    person: Person | None = request.state.person
    if person is not None:
        return person.session
    return request.client.host if request.client else ""


def _download(content: Content, blocks: Iterator[bytes]) -> Response:
    name = quote(content.name.replace("/", "_").replace("\\", "_")[:200] or "file", safe="", errors="replace")
    return StreamingResponse(
        _started(blocks),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def _started(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first block at once, so that a missing blob is an answer and not half of one."""
    first = next(blocks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from blocks

    return rest()


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
