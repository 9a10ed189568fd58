"""The Quarantine folder as an operator works on it: what lies there, and the way back to the inbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ingest.codes import Reason
from ingest.errors import NotFound, OperatorError
from ingest.model import MessageRef, Trigger

if TYPE_CHECKING:  # heavy, and given by the caller
    from ingest.graph.client import GraphClient
    from ingest.graph.mailbox import Mailboxes

PAGE_SIZE = 100
_REASONS = frozenset(Reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedMail:
    """A mail in Quarantine. `reason` is None for one that somebody put there by hand."""

    ref: MessageRef
    received_at: datetime
    sender: str = field(repr=False)
    subject: str = field(repr=False)
    reason: Reason | None


class Quarantine:
    """The Quarantine folders. Every call may raise Later."""

    def __init__(self, graph: GraphClient, mailboxes: Mailboxes) -> None:
        self._graph = graph
        self._mailboxes = mailboxes

    def mails(self, mailbox: str) -> Iterator[QuarantinedMail]:
        """What lies in the folder, oldest first; nothing where there is no folder yet."""
        folder = self._mailboxes.find_quarantine(mailbox)
        if folder is None:
            return
        path: str | None = f"/users/{quote(mailbox, safe='@')}/mailFolders/{quote(folder, safe='')}/messages"
        params: dict[str, str] | None = {
            "$select": "id,receivedDateTime,from,subject,categories",
            "$orderby": "receivedDateTime",
            "$top": str(PAGE_SIZE),
        }
        while path:
            page = self._graph.request("list_quarantine", "GET", path, mailbox=mailbox, params=params).body
            for item in page.get("value") or ():
                yield _mail(mailbox, item)
            path, params = page.get("@odata.nextLink"), None

    def release(self, ref: MessageRef) -> None:
        """Back to the inbox, unread and without its reason, as if it had just come in.

        Graph announces it as a new message, so that it is ingested again. Raises OperatorError.
        """
        categories = self._must_be_here(ref)
        path = f"/users/{quote(ref.mailbox, safe='@')}/messages/{quote(ref.message_id, safe='')}"
        kept = [category for category in categories if category not in _REASONS]
        # Unread first: the sweep looks for unread ones, should the notification be lost.
        self._graph.request(
            "release_message", "PATCH", path, mailbox=ref.mailbox, body={"isRead": False, "categories": kept}
        )
        self._graph.request(
            "move_message", "POST", f"{path}/move", mailbox=ref.mailbox, body={"destinationId": "inbox"}
        )

    def must_hold(self, ref: MessageRef) -> None:
        """Raises OperatorError where the message is not in Quarantine."""
        self._must_be_here(ref)

    def _must_be_here(self, ref: MessageRef) -> list[str]:
        path = f"/users/{quote(ref.mailbox, safe='@')}/messages/{quote(ref.message_id, safe='')}"
        try:
            found = self._graph.request(
                "get_message", "GET", path, mailbox=ref.mailbox, params={"$select": "parentFolderId,categories"}
            ).body
        except NotFound:
            raise OperatorError("The mail is not in the mailbox any more: it was deleted.") from None
        if found.get("parentFolderId") != self._mailboxes.find_quarantine(ref.mailbox):
            raise OperatorError("The mail is not in Quarantine: it was moved elsewhere.")
        return [str(category) for category in found.get("categories") or ()]


def _mail(mailbox: str, item: Mapping[str, Any]) -> QuarantinedMail:
    categories = item.get("categories") or ()
    return QuarantinedMail(
        ref=MessageRef(mailbox=mailbox, message_id=str(item["id"]), trigger=Trigger.OPERATOR),
        received_at=datetime.fromisoformat(item["receivedDateTime"]).astimezone(UTC),
        sender=str(((item.get("from") or {}).get("emailAddress") or {}).get("address") or ""),
        subject=item.get("subject") or "",
        reason=next((Reason(category) for category in categories if category in _REASONS), None),
    )
