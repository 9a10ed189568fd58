"""The ways out for an answer: Graph's sendMail, or Azure Communication Services. Each sends once and never again.

https://learn.microsoft.com/graph/api/user-sendmail (MIME format)
https://learn.microsoft.com/rest/api/communication/email/email/send
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, override
from urllib.parse import quote

from answers.letter import Letter
from ingest import log
from ingest.errors import AnswerRefused, GraphRefused, InDoubt, Later, NotFound
from ingest.graph.client import GraphClient
from ingest.graph.retry import retry_after_seconds
from ingest.trace import span

ACS_API = "2023-03-31"
ACS_SECONDS = 30


class Transport(Protocol):
    """A way to send one letter."""

    def send(self, letter: Letter) -> None:
        """Send a letter once. Raises AnswerRefused (for good), InDoubt (perhaps sent), Later (certainly not sent)."""


class GraphTransport:
    """Graph's sendMail in the name of a mailbox. Exchange keeps a copy in Sent Items."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    def send(self, letter: Letter) -> None:
        """Send the letter as MIME. Raises as `Transport.send`."""
        try:
            self._graph.post_once(
                "send_mail",
                f"/users/{quote(letter.sender, safe='')}/sendMail",
                base64.b64encode(letter.as_mime()),
                mailbox=letter.sender,
            )
        except (GraphRefused, NotFound) as refused:
            raise AnswerRefused(log.describe(refused)) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects as errors: urllib would send the token and the letter's headers to any other host."""

    @override
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none: urllib raises HTTPError then."""


_OPENER = urllib.request.build_opener(_NoRedirects)


class AcsTransport:
    """Azure Communication Services Email, with a token of the app's identity. It knows no null return path."""

    def __init__(self, endpoint: str, token: Callable[[], str]) -> None:
        """`token`: returns a token for Communication Services; raises Later."""
        self._url = f"{endpoint}/emails:send?api-version={ACS_API}"
        self._token = token

    def send(self, letter: Letter) -> None:
        """Send the letter as JSON. Raises as `Transport.send`."""
        body = {
            "senderAddress": letter.sender,
            "recipients": {"to": [{"address": letter.target.recipient}]},
            "content": {
                "subject": letter.text.subject,
                "plainText": letter.text.plain,
                "html": letter.text.html,
            },
            "headers": letter.headers(),
        }
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json",
            "Operation-Id": str(letter.id),
        }
        request = urllib.request.Request(self._url, data=json.dumps(body).encode(), headers=headers, method="POST")  # noqa: S310 - https, by Settings
        try:
            with span("acs.send"), _OPENER.open(request, timeout=ACS_SECONDS) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            with error:
                raise _judged(error) from None
        except OSError as error:
            raise InDoubt(f"Communication Services: {type(error).__name__}") from None


def _judged(error: urllib.error.HTTPError) -> AnswerRefused | InDoubt | Later:
    said = f"Communication Services answered {error.code}"
    if error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
        return Later(said, retry_after=retry_after_seconds(dict(error.headers)))
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return InDoubt(said)
    return AnswerRefused(said)
