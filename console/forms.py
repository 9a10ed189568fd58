"""The forms of operators: the role and the token that each form needs, and the reason for the record."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from console.access import Role
from console.guard import is_form_token
from console.render import person_of, trouble

MAX_WHY = 500  # characters


def refusal(request: Request, token: str, *, title: str) -> Response | None:
    """Return the page that refuses a form, None for a form of ours that an operator has sent.

    `token`: as the form has it. `title`: the key of the page's title.
    """
    person = person_of(request)
    if person.role < Role.OPERATOR:
        return trouble(request, title, "trouble.role", status=403)
    if not is_form_token(token, person.session):
        return trouble(request, title, "trouble.form", status=403)
    return None


def why_of(text: str) -> str:
    """Return the reason for the record, cut to MAX_WHY; empty where the form has none."""
    return text.strip()[:MAX_WHY]
