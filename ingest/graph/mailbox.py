"""The mail calls: Graph's JSON in, the app's model out.

https://learn.microsoft.com/graph/api/resources/message
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest import log
from ingest.codes import Reason
from ingest.errors import GraphRefused, NotFound, Rejected
from ingest.graph.client import GraphClient, Json
from ingest.graph.folders import Folders, user_path
from ingest.graph.retry import CANNOT_DELETE
from ingest.model import Attachment, AttachmentKind, LeftOver, Message, MessageRef, QuarantinedMail, Trigger
from ingest.settings import DeleteMode, SweepScope

# A message may not be found for a moment after its notification.
NOT_FOUND_WAITS = (0.5, 1.0, 2.0)  # seconds
PAGE_SIZE = 1000  # messages of a listing request, the most that Outlook takes; each is an id, a time and a size
QUARANTINE_PAGE_SIZE = 100

_ATTACHMENT_FIELDS = "id,name,contentType,microsoft.graph.fileAttachment/contentId"
_MESSAGE_FIELDS = (
    "id,internetMessageId,subject,from,toRecipients,ccRecipients,receivedDateTime,parentFolderId,categories"
)
# Bytes. A message of at most this size in a listing is fetched with the content of its attachments, in one request.
# See docs/decisions/requests-per-mail.md.
SMALL_MESSAGE = 1024 * 1024
_SIZE = "Long 0x0E08"  # PR_MESSAGE_SIZE; a message has no property of its own for it
_REASONS = frozenset(Reason)
# Exchange's codes for an item with damaged content, which no retry mends.
_UNREADABLE_CODES = frozenset(
    {
        "ErrorCorruptData",
        "ErrorInvalidMimeContent",
        "ErrorMimeContentConversionFailed",
        "ErrorMimeContentInvalid",
        "ErrorContentConversionFailed",
        "ErrorItemCorrupt",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxCount:
    """Messages in an inbox."""

    total: int
    unread: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """The folder that a message lies in, and the message's categories."""

    folder_id: str
    categories: tuple[str, ...]


class Mailboxes:
    """The mailboxes, read and cleaned up through Graph."""

    def __init__(
        self,
        graph: GraphClient,
        *,
        quarantine_folder: str,
        delete_mode: DeleteMode,
        sweep_scope: SweepScope,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._graph = graph
        self._delete_mode = delete_mode
        self._sweep_scope = sweep_scope
        self._sleep = sleep
        self._folders = Folders(graph, quarantine_name=quarantine_folder)

    def fetch(self, ref: MessageRef) -> Message:
        """Return the message with everything but content. Raises NotFound, Rejected(unreadable), Later."""
        waits = iter(NOT_FOUND_WAITS if ref.trigger is Trigger.WEBHOOK else ())
        while True:
            try:
                with _readable():
                    body = self._get_message(ref)
                return _message(ref, body)
            except NotFound:
                wait = next(waits, None)
                if wait is None:
                    raise
                self._sleep(wait)

    def _get_message(self, ref: MessageRef) -> Json:
        small = ref.size is not None and ref.size <= SMALL_MESSAGE
        body = self._graph.request(
            "get_message",
            "GET",
            _message_path(ref),
            mailbox=ref.mailbox,
            params={
                "$select": _MESSAGE_FIELDS,
                # Unless $select leaves it out, contentBytes comes along.
                "$expand": "attachments" if small else f"attachments($select={_ATTACHMENT_FIELDS})",
            },
        ).body
        attachments = list(body.get("attachments") or ())
        link = body.get("attachments@odata.nextLink")
        while link:
            page = self._graph.request("list_attachments", "GET", link, mailbox=ref.mailbox).body
            attachments += page.get("value") or ()
            link = page.get("@odata.nextLink")
        return {**body, "attachments": attachments}

    @contextmanager
    def original(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        """Open the whole message as MIME, byte for byte as Graph gives it.

        Raises as `GraphClient.stream`, and Rejected(unreadable).
        """
        path = _message_path(ref, "$value")
        with _readable(), self._graph.stream("get_mime", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        """Open an attachment's bytes. Raises as `original`."""
        if attachment.content is not None:
            yield iter((attachment.content,))
            return
        path = _message_path(ref, "attachments", attachment.id, "$value")
        with _readable(), self._graph.stream("get_attachment", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    @contextmanager
    def body(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        """Open Graph's JSON of the message's body, which can be as large as a mail. Raises as `original`."""
        path = f"{_message_path(ref)}?$select=body"
        with self._graph.stream("get_body", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    def in_inbox(self, message: Message) -> bool:
        """Return whether the message is in its mailbox's inbox, where it is the app's to work on."""
        return message.parent_folder_id == self._folders.inbox(message.ref.mailbox)

    def delete(self, ref: MessageRef) -> None:
        """Take the message out of the mailbox. A message that is gone already is done."""
        try:
            if self._delete_mode is DeleteMode.PERMANENT:
                path = _message_path(ref, "permanentDelete")
                self._graph.request("delete_message", "POST", path, mailbox=ref.mailbox)
            else:
                self._graph.request("delete_message", "DELETE", _message_path(ref), mailbox=ref.mailbox)
        except NotFound:
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)
        except GraphRefused as refused:
            if refused.code != CANNOT_DELETE or self.categories_in_inbox(ref) is not None:
                raise
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)

    def locate(self, ref: MessageRef) -> Location:
        """Return where the message lies, by one small request. Raises NotFound."""
        params = {"$select": "id,parentFolderId,categories"}
        body = self._graph.request("locate_message", "GET", _message_path(ref), mailbox=ref.mailbox, params=params).body
        return Location(
            folder_id=str(body.get("parentFolderId") or ""), categories=tuple(map(str, body.get("categories") or ()))
        )

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        """Return the categories of a message in the inbox; None for a message that is elsewhere or gone."""
        try:
            location = self.locate(ref)
        except NotFound:
            return None
        return location.categories if location.folder_id == self._folders.inbox(ref.mailbox) else None

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        """Put the reason on the message and move the message to the Quarantine folder. Raises NotFound, Later.

        `categories`: those that the message has; all but an earlier reason are kept.
        """
        self._graph.request(
            "categorise_message",
            "PATCH",
            _message_path(ref),
            mailbox=ref.mailbox,
            body={"categories": [*_without_reason(categories), reason.value]},
        )
        folder = self._folders.quarantine(ref.mailbox)
        try:
            self._move(ref, folder)
        except (NotFound, GraphRefused):
            # The message or the folder is gone. A folder that is looked up again shows which of the two.
            self._folders.forget_quarantine(ref.mailbox)
            found = self._folders.quarantine(ref.mailbox)
            if found == folder:
                raise
            self._move(ref, found)

    def release(self, ref: MessageRef, categories: Sequence[str]) -> None:
        """Move the message back to the inbox, unread and without its reason. Raises NotFound, Later.

        `categories`: those that the message has. Graph announces the message as a new one.
        """
        # Unread first: the sweep looks for unread messages, should the notification be lost.
        body: Json = {"isRead": False, "categories": _without_reason(categories)}
        self._graph.request("release_message", "PATCH", _message_path(ref), mailbox=ref.mailbox, body=body)
        self._move(ref, "inbox")

    def find_quarantine(self, mailbox: str) -> str | None:
        """Return the id of the Quarantine folder, or None where there is none yet."""
        return self._folders.find_quarantine(mailbox)

    def quarantined(self, mailbox: str) -> Iterator[QuarantinedMail]:
        """Yield the mails in the Quarantine folder, oldest first; none where there is no folder yet."""
        folder = self._folders.find_quarantine(mailbox)
        if folder is None:
            return
        path: str | None = user_path(mailbox, "mailFolders", folder, "messages")
        params: dict[str, str] | None = {
            "$select": "id,receivedDateTime,from,subject,categories",
            "$orderby": "receivedDateTime",
            "$top": str(QUARANTINE_PAGE_SIZE),
        }
        while path:
            page = self._graph.request("list_quarantine", "GET", path, mailbox=mailbox, params=params).body
            for item in page.get("value") or ():
                yield _quarantined(mailbox, item)
            path, params = page.get("@odata.nextLink"), None

    def count_inbox(self, mailbox: str) -> InboxCount:
        """Return how many messages the inbox holds."""
        path = user_path(mailbox, "mailFolders", "inbox")
        params = {"$select": "id,totalItemCount,unreadItemCount"}
        answer = self._graph.request("get_inbox", "GET", path, mailbox=mailbox, params=params).body
        return InboxCount(total=int(answer["totalItemCount"]), unread=int(answer["unreadItemCount"]))

    def count_quarantine(self, mailbox: str) -> int:
        """Return how many messages the Quarantine folder holds; 0 where there is no folder yet."""
        folder = self._folders.find_quarantine(mailbox)
        if folder is None:
            return 0
        path = user_path(mailbox, "mailFolders", folder)
        params = {"$select": "id,totalItemCount"}
        answer = self._graph.request("get_quarantine", "GET", path, mailbox=mailbox, params=params).body
        return int(answer["totalItemCount"])

    def left_over(self, mailbox: str) -> Iterator[Sequence[LeftOver]]:
        """Yield the inbox's messages in pages, oldest first, until a page brings nothing new.

        Each page is asked for by time. A nextLink counts positions, so that deleting while paging would skip
        messages; the nextLink is followed only where a full page shares one second.
        """
        since, seen = datetime(1900, 1, 1, tzinfo=UTC), frozenset[str]()
        link: str | None = None
        while True:
            asked, answer = link, self._list_inbox(mailbox, since, link)
            page = [_left_over(mailbox, item) for item in answer.get("value") or ()]
            new = [item for item in page if item.ref.message_id not in seen]
            if new:
                yield new
            link = answer.get("@odata.nextLink")
            last = page[-1].received_at if page else since
            if last > since:
                since, link = last, None
                seen = frozenset(item.ref.message_id for item in page if item.received_at == last)
            elif not new and link in {None, asked}:  # the end, or a link that leads in a circle
                return
            else:
                seen |= {item.ref.message_id for item in new}
            if not page:
                return

    def _list_inbox(self, mailbox: str, since: datetime, link: str | None) -> Json:
        if link is not None:
            return self._graph.request("list_inbox", "GET", link, mailbox=mailbox).body
        # What $orderby names must come first in $filter, or Graph answers InefficientFilter.
        unread = " and isRead eq false" if self._sweep_scope is SweepScope.UNREAD else ""
        return self._graph.request(
            "list_inbox",
            "GET",
            user_path(mailbox, "mailFolders", "inbox", "messages"),
            mailbox=mailbox,
            params={
                "$filter": f"receivedDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}{unread}",
                "$orderby": "receivedDateTime",
                "$select": "id,receivedDateTime",
                "$expand": f"singleValueExtendedProperties($filter=id eq '{_SIZE}')",
                "$top": str(PAGE_SIZE),
            },
        ).body

    def _move(self, ref: MessageRef, folder_id: str) -> None:
        self._graph.request(
            "move_message",
            "POST",
            _message_path(ref, "move"),
            mailbox=ref.mailbox,
            body={"destinationId": folder_id},
        )


@contextmanager
def _readable() -> Iterator[None]:
    """Raise Rejected(unreadable) in the place of Graph's codes for a damaged item."""
    try:
        yield
    except GraphRefused as refused:
        if refused.code in _UNREADABLE_CODES:
            raise Rejected(Reason.UNREADABLE) from refused
        raise


def _message_path(ref: MessageRef, *segments: str) -> str:
    return user_path(ref.mailbox, "messages", ref.message_id, *segments)


def _message(ref: MessageRef, body: Json) -> Message:
    return Message(
        ref=ref,
        internet_message_id=body.get("internetMessageId"),
        subject=body.get("subject") or "",
        sender=_address(body.get("from")),
        to=_addresses(body.get("toRecipients")),
        cc=_addresses(body.get("ccRecipients")),
        received_at=_time(body["receivedDateTime"]),
        parent_folder_id=str(body.get("parentFolderId") or ""),
        categories=tuple(body.get("categories") or ()),
        attachments=tuple(_attachment(item) for item in body["attachments"]),
    )


def _attachment(item: Mapping[str, Any]) -> Attachment:
    name = str(item.get("@odata.type", "")).rpartition(".")[2]
    kind = AttachmentKind(name) if name in set(AttachmentKind) else AttachmentKind.UNKNOWN
    return Attachment(
        id=str(item["id"]),
        kind=kind,
        name=item.get("name") or "",
        content_type=item.get("contentType"),
        content_id=(item.get("contentId") or "").strip("<>") or None,
        content=_content(item.get("contentBytes")),
    )


def _content(base64_text: object) -> bytes | None:
    """Return the decoded content; None where there is none, or broken base64: then the content is streamed."""
    if not isinstance(base64_text, str):
        return None
    try:
        return base64.b64decode(base64_text, validate=True)
    except binascii.Error:
        return None


def _left_over(mailbox: str, item: Mapping[str, Any]) -> LeftOver:
    properties = item.get("singleValueExtendedProperties") or ()
    size = next((text for entry in properties if str(text := entry.get("value")).isdecimal()), None)
    return LeftOver(
        ref=MessageRef(
            mailbox=mailbox,
            message_id=str(item["id"]),
            trigger=Trigger.SWEEP,
            size=int(size) if size is not None else None,
        ),
        received_at=_time(item["receivedDateTime"]),
    )


def _quarantined(mailbox: str, item: Mapping[str, Any]) -> QuarantinedMail:
    categories = item.get("categories") or ()
    return QuarantinedMail(
        ref=MessageRef(mailbox=mailbox, message_id=str(item["id"]), trigger=Trigger.OPERATOR),
        received_at=_time(item["receivedDateTime"]),
        sender=_address(item.get("from")),
        subject=item.get("subject") or "",
        reason=next((Reason(category) for category in categories if category in _REASONS), None),
    )


def _without_reason(categories: Sequence[str]) -> list[str]:
    return [category for category in categories if category not in _REASONS]


def _address(recipient: Mapping[str, Any] | None) -> str:
    return str(((recipient or {}).get("emailAddress") or {}).get("address") or "")


def _addresses(recipients: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    return tuple(address for address in map(_address, recipients or ()) if address)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
