"""Templates to answers: the language, the person and the form's token reach every page from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.access import Person
from console.guard import form_token
from console.language import COOKIE, Words, choose_language
from console.text import shown

_STYLES = {
    "deleted": "good",
    "stored": "good",
    "document": "good",
    "quarantined": "bad",
    "rejected": "bad",
    "waiting": "warn",
    "processing": "warn",
}

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters["shown"] = shown
templates.filters["style"] = lambda state: _STYLES.get(state, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A message above a page. `undo`: the text that takes the last action back."""

    text: str
    style: str = ""
    undo: str | None = None


def page(
    request: Request, template: str, *, here: str, notice: Notice | None = None, status: int = 200, **values: object
) -> Response:
    """Return a page. `here`: the page's key in the navigation."""
    person = person_of(request)
    text = templates.get_template(template).render(
        w=words_of(request),
        person=person,
        form_token=form_token(person.session),
        here=here,
        notice=notice,
        **values,
    )
    return HTMLResponse(text, status_code=status)


def trouble(request: Request, title: str, text: str, *, status: int, **values: object) -> Response:
    """Return a page that says what is wrong; `title` and `text` are keys of texts."""
    words = words_of(request)
    return page(request, "trouble.html", here="", status=status, title=words(title), text=words(text, **values))


def stranger_page(request: Request, text: str) -> Response:
    """Return the page for a person who is not signed in; `text` is a key."""
    rendered = templates.get_template("stranger.html").render(w=words_of(request), text=text)
    return HTMLResponse(rendered, status_code=401)


def person_of(request: Request) -> Person:
    """Return the person whom the application has recognised."""
    person: Person = request.state.person
    return person


def words_of(request: Request) -> Words:
    """Return the texts in the person's language."""
    return Words(choose_language(request.headers.get("accept-language", ""), request.cookies.get(COOKIE)))


async def in_thread(handle: Callable[[], Response]) -> Response:
    """Run a part of a handler that waits for Postgres or Graph in a thread."""
    return await run_in_threadpool(handle)
