"""sendMail: mail that the app sends leaves by SMTP, to a sink of the simulator in the place of the world.

Exchange gives an automatic answer a null return path (RFC 3834, 3.3), so that no bounce comes back to it.
"""

import asyncio
import base64
import binascii
import smtplib
from dataclasses import dataclass
from email import policy
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.graph.http.errors import GraphError
from local.graph.http.routes import Routes
from local.graph.mail.exchange import Request, Response
from local.graph.mail.store import Store

_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMail:
    """A mail in the sink. `return_path`: empty for the null return path."""

    return_path: str
    recipients: tuple[str, ...]
    mime: bytes


class Sink:
    """The world: an SMTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[SentMail] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Keep a mail."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.mails.append(
            SentMail(
                return_path=(envelope.mail_from or "").strip("<>"), recipients=tuple(envelope.rcpt_tos), mime=content
            )
        )
        return "250 2.0.0 Kept"


class SendMailRoutes:
    """https://learn.microsoft.com/graph/api/user-sendmail, the MIME form."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.port = 0  # of the sink, once it listens

    def register(self, routes: Routes) -> None:
        """Add the path."""
        routes.add("POST", "users/{user}/sendMail", self.send)

    async def send(self, request: Request) -> Response:
        """Take a mail as base64: 202, and the mail leaves. 400 for a body that is no mail."""
        mailbox = self._store.mailbox(request.parameters["user"])
        try:
            mime = base64.b64decode(request.body if isinstance(request.body, bytes) else b"", validate=True)
        except binascii.Error:
            mime = b""
        mail = BytesParser(policy=policy.default).parsebytes(mime, headersonly=True)
        recipients = [one.addr_spec for field in mail.get_all("to", []) for one in field.addresses]
        if not recipients:
            raise GraphError(400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
        automatic = str(mail.get("auto-submitted", "no")).lower() != "no"
        await asyncio.to_thread(self._leave, "" if automatic else mailbox.address, recipients, mime)
        return Response(status=202)

    def _leave(self, return_path: str, recipients: list[str], mime: bytes) -> None:
        with smtplib.SMTP(_HOST, self.port, timeout=60) as connection:
            connection.sendmail(return_path, recipients, mime)
