"""An answer as a mail: headers that mark a program as its writer (RFC 3834), text and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from typing import override
from uuid import UUID

from answers.texts import Text
from ingest.answers import MESSAGE_ID_MARK
from ingest.model.answer import AnswerTarget


class _Ids(UnstructuredHeader, BaseHeader):
    """Message-IDs, one a line. The library would write an id of more than 76 characters as an encoded word."""

    @override
    def fold(self, *, policy: Policy) -> str:
        """Return the field as it is sent."""
        ids = f"{policy.linesep} ".join(str(self).split())
        return f"{self.name}: {ids}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("in-reply-to", _Ids)
_HEADERS.map_to_type("references", _Ids)
_POLICY = SMTP.clone(header_factory=_HEADERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """An answer that is ready to be sent. `id` is new for each attempt."""

    id: UUID
    sender: str
    target: AnswerTarget
    text: Text
    written_at: datetime

    def headers(self) -> dict[str, str]:
        """Return the headers that mark an automatic answer and put it below the mail that it answers."""
        found = {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All"}
        if self.target.message_id is not None:
            found["In-Reply-To"] = self.target.message_id
            found["References"] = " ".join((*self.target.references, self.target.message_id))
        return found

    def as_mime(self) -> bytes:
        """Return the whole mail. The library refuses a line break in a header."""
        message = EmailMessage(policy=_POLICY)
        message["From"] = self.sender
        message["To"] = self.target.recipient
        message["Subject"] = self.text.subject
        message["Date"] = format_datetime(self.written_at)
        message["Message-ID"] = f"<{MESSAGE_ID_MARK}{self.id.hex}@{self.sender.rpartition('@')[2]}>"
        for name, value in self.headers().items():
            message[name] = value
        message.set_content(self.text.plain)
        message.add_alternative(self.text.html, subtype="html")
        message["Content-Language"] = self.target.language  # last: set_content moves such a header into the text
        return message.as_bytes()
