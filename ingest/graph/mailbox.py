"""The calls on mails and their folders.

https://learn.microsoft.com/graph/api/resources/message
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from ingest import log
from ingest.codes import Reason
from ingest.errors import GraphRefused, MimeUnavailable, NotFound, Rejected
from ingest.graph.client import GraphClient, Json
from ingest.graph.folders import Folders, user_path
from ingest.graph.listings import Item, id_of, next_link, read_answer, read_items
from ingest.graph.resources import attachment_of, listed_message_of, message_of, quarantined_mail_of, without_reason
from ingest.graph.retry import CANNOT_DELETE, UNREADABLE_CODES
from ingest.model.message import Attachment, ListedMessage, Message, QuarantinedMail, Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import DeleteMode, SweepScope

# A message may not be found for a moment after its notification.
NOT_FOUND_WAITS = (0.5, 1.0, 2.0)  # seconds
PAGE_SIZE = 1000  # messages of a listing request, the most that Outlook takes; each is an id and a time
QUARANTINE_PAGE_SIZE = 100
BARREN_PAGES = 100  # so many next links in a row that show no new message end a listing

CONVERSION_WAITS = (1.0,)  # seconds before another attempt of a MIME that Exchange could not convert
_ATTACHMENT_FIELDS = "id,name,contentType,size,microsoft.graph.fileAttachment/contentId"
_MESSAGE_FIELDS = (
    "id,internetMessageId,subject,from,toRecipients,ccRecipients,receivedDateTime,internetMessageHeaders,body"
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


def location_of(item: Item) -> Location:
    """Return where a message lies. Raises KeyError, TypeError, ValueError."""
    categories = item.get("categories") or ()
    return Location(folder_id=id_of({"id": item["parentFolderId"]}), categories=tuple(map(str, categories)))


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

    @contextmanager
    def original(self, ref: MessageRef, scope: Scope) -> Iterator[Iterator[bytes]]:
        """Open the whole message as MIME, as Graph generates it.

        Raises NotFound, MimeUnavailable, Later, and as `GraphClient.stream` while reading.
        """
        with ExitStack() as opened:
            yield self._open_original(ref, scope, opened)

    def _open_original(self, ref: MessageRef, scope: Scope, opened: ExitStack) -> Iterator[bytes]:
        path = _path(ref, scope, "$value")
        not_found_waits = iter(NOT_FOUND_WAITS if ref.trigger is Trigger.WEBHOOK else ())
        conversion_waits = iter(CONVERSION_WAITS)
        while True:
            try:
                return opened.enter_context(self._graph.stream("get_mime", path, mailbox=ref.mailbox))
            except NotFound:
                wait = next(not_found_waits, None)
                if wait is None:
                    raise
            except GraphRefused as refused:
                if refused.code not in UNREADABLE_CODES:
                    raise
                wait = next(conversion_waits, None)
                if wait is None:
                    raise MimeUnavailable(str(refused)) from None
            self._sleep(wait)

    @contextmanager
    def message_json(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        """Open Graph's message as JSON, with headers, body and the list of its attachments.

        Raises NotFound, Rejected(unreadable), Later, and as `GraphClient.stream` while reading.
        """
        query = f"?$select={_MESSAGE_FIELDS}&$expand=attachments($select={_ATTACHMENT_FIELDS})"
        path = _path(ref, Scope.MAILBOX) + query
        with _readable(), self._graph.stream("get_message", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    def attachments(self, ref: MessageRef) -> Sequence[Attachment]:
        """List the attachments, all pages, without their content. Raises NotFound, Rejected(unreadable), Later."""
        found: list[Attachment] = []
        link: str | None = _path(ref, Scope.MAILBOX, "attachments")
        params: dict[str, str] | None = {"$select": _ATTACHMENT_FIELDS}
        with _readable():
            while link:
                page = self._graph.request("list_attachments", "GET", link, mailbox=ref.mailbox, params=params).body
                readable = read_items("list_attachments", page, attachment_of, mailbox=ref.mailbox)
                if len(readable) < len(page["value"]):
                    # Filed without the attachment, the message would be deleted with it.
                    raise GraphRefused("list_attachments", HTTPStatus.OK, "with an attachment that has no id")
                found += readable
                link, params = next_link(page), None
        return found

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        """Open an attachment's bytes. Raises NotFound, Rejected(unreadable), Later."""
        path = _path(ref, Scope.MAILBOX, "attachments", attachment.id, "$value")
        with _readable(), self._graph.stream("get_attachment", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    def describe(self, ref: MessageRef) -> Message:
        """Return the message's metadata as Graph shows it, by one small request. Raises NotFound, Later."""
        params = {"$select": "id,internetMessageId,subject,from,toRecipients,ccRecipients,receivedDateTime"}
        body = self._graph.request(
            "describe_message", "GET", _path(ref, Scope.MAILBOX), mailbox=ref.mailbox, params=params
        ).body
        return message_of(ref, body)

    def mark_read(self, ref: MessageRef, scope: Scope) -> None:
        """Mark the message as read. Raises NotFound, Later."""
        body: Json = {"isRead": True}
        self._graph.request("mark_read", "PATCH", _path(ref, scope), mailbox=ref.mailbox, body=body)

    def delete(self, ref: MessageRef, scope: Scope) -> None:
        """Take the message out of the mailbox. A message that is gone already is done."""
        try:
            if self._delete_mode is DeleteMode.PERMANENT:
                path = _path(ref, scope, "permanentDelete")
                self._graph.request("delete_message", "POST", path, mailbox=ref.mailbox)
            else:
                self._graph.request("delete_message", "DELETE", _path(ref, scope), mailbox=ref.mailbox)
        except NotFound:
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)
        except GraphRefused as refused:
            if refused.code != CANNOT_DELETE or self.categories_in_inbox(ref) is not None:
                raise
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)

    def locate(self, ref: MessageRef) -> Location:
        """Return where the message lies, by one small request. Raises NotFound."""
        params = {"$select": "id,parentFolderId,categories"}
        body = self._graph.request(
            "locate_message", "GET", _path(ref, Scope.MAILBOX), mailbox=ref.mailbox, params=params
        ).body
        return read_answer("locate_message", body, location_of)

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
            _path(ref, Scope.MAILBOX),
            mailbox=ref.mailbox,
            body={"categories": [*without_reason(categories), reason.value]},
        )
        folder = self._folders.quarantine(ref.mailbox)
        try:
            self._move(ref, folder)
        except (NotFound, GraphRefused):
            # The message or the folder is gone. A folder that is looked up again shows which of the two.
            self._folders.forget_quarantine(ref.mailbox)
            found = self._folders.quarantine(ref.mailbox)
            if found != folder:
                self._move(ref, found)
            elif not self._lies_in(ref, folder):
                raise

    def _lies_in(self, ref: MessageRef, folder: str) -> bool:
        """Return True where a move was carried out and only its answer was lost."""
        try:
            return self.locate(ref).folder_id == folder
        except NotFound:
            return False

    def release(self, ref: MessageRef, categories: Sequence[str]) -> None:
        """Move the message back to the inbox, unread and without its reason. Raises NotFound, Later.

        `categories`: those that the message has. Graph announces the message as a new one.
        """
        # Unread first: the sweep looks for unread messages, should the notification be lost.
        body: Json = {"isRead": False, "categories": without_reason(categories)}
        self._graph.request("release_message", "PATCH", _path(ref, Scope.MAILBOX), mailbox=ref.mailbox, body=body)
        self._move(ref, "inbox")

    def discard(self, ref: MessageRef) -> None:
        """Move the message to Deleted Items. Raises NotFound, Later."""
        self._move(ref, "deleteditems")

    def bring_back(self, ref: MessageRef) -> None:
        """Move the message to the Quarantine folder as it is. Raises NotFound, Later."""
        self._move(ref, self._folders.quarantine(ref.mailbox))

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
            yield from read_items("list_quarantine", page, partial(quarantined_mail_of, mailbox), mailbox=mailbox)
            path, params = next_link(page), None

    def count_inbox(self, mailbox: str) -> InboxCount:
        """Return how many messages the inbox holds."""
        answer = self._folder("get_inbox", mailbox, "inbox", "id,totalItemCount,unreadItemCount")
        return read_answer(
            "get_inbox",
            answer,
            lambda inbox: InboxCount(total=int(inbox["totalItemCount"]), unread=int(inbox["unreadItemCount"])),
        )

    def count_junk(self, mailbox: str) -> int:
        """Return how many messages the folder Junk Email holds."""
        return self._count("get_junk", mailbox, "junkemail")

    def count_quarantine(self, mailbox: str) -> int:
        """Return how many messages the Quarantine folder holds; 0 where there is no folder yet."""
        folder = self._folders.find_quarantine(mailbox)
        if folder is None:
            return 0
        return self._count("get_quarantine", mailbox, folder)

    def _count(self, operation: str, mailbox: str, folder: str) -> int:
        answer = self._folder(operation, mailbox, folder, "id,totalItemCount")
        return read_answer(operation, answer, lambda found: int(found["totalItemCount"]))

    def _folder(self, operation: str, mailbox: str, folder: str, fields: str) -> Json:
        path = user_path(mailbox, "mailFolders", folder)
        return self._graph.request(operation, "GET", path, mailbox=mailbox, params={"$select": fields}).body

    def list_inbox(self, mailbox: str) -> Iterator[Sequence[ListedMessage]]:
        """Yield the inbox's messages in pages, oldest first, until a page brings nothing new.

        Each page is asked for by time. A nextLink counts positions, so that deleting while paging would skip
        messages; the nextLink is followed only where a full page shares one second.
        """
        since, seen, undated = datetime(1900, 1, 1, tzinfo=UTC), frozenset[str](), frozenset[str]()
        link: str | None = None
        barren = 0  # pages in a row without a new message
        while True:
            asked, answer = link, self._inbox_page(mailbox, since, link)
            page = read_items("list_inbox", answer, partial(listed_message_of, mailbox), mailbox=mailbox)
            new = [item for item in page if item.ref.message_id not in seen]
            if new:
                yield new
            barren = 0 if new else barren + 1
            link = next_link(answer)
            last = next((item.received_at for item in reversed(page) if item.received_at is not None), since)
            if last > since:
                since, link = last, None
                undated |= {item.ref.message_id for item in page if item.received_at is None}
                seen = undated | {item.ref.message_id for item in page if item.received_at == last}
            elif not new and link in {None, asked}:  # the end, or a link that leads in a circle
                return
            elif barren == BARREN_PAGES:
                log.warning("sweep.listing_stopped", mailbox=mailbox, pages=barren)
                return
            else:
                seen |= {item.ref.message_id for item in new}

    def bring_in_junk(self, mailbox: str, *, limit: int) -> int:
        """Move at most `limit` messages from Junk Email to the inbox, oldest first; return the number.

        The messages that the sweep's scope names. Graph announces each as a new message. A message that cannot be moved
        is logged and stays. Raises Later.
        """
        page = self._list("list_junk", mailbox, "junkemail", since=datetime(1900, 1, 1, tzinfo=UTC), top=limit)
        moved = 0
        for item in read_items("list_junk", page, partial(listed_message_of, mailbox), mailbox=mailbox):
            try:
                self._move(item.ref, "inbox")
            except (NotFound, GraphRefused) as trouble:
                log.warning("sweep.junk_not_moved", mailbox=mailbox, cause=log.describe(trouble))
            else:
                moved += 1
        return moved

    def _inbox_page(self, mailbox: str, since: datetime, link: str | None) -> Json:
        if link is not None:
            return self._graph.request("list_inbox", "GET", link, mailbox=mailbox).body
        return self._list("list_inbox", mailbox, "inbox", since=since, top=PAGE_SIZE)

    def _list(self, name: str, mailbox: str, folder: str, *, since: datetime, top: int) -> Json:
        # What $orderby names must come first in $filter, or Graph answers InefficientFilter.
        unread = " and isRead eq false" if self._sweep_scope is SweepScope.UNREAD else ""
        return self._graph.request(
            name,
            "GET",
            user_path(mailbox, "mailFolders", folder, "messages"),
            mailbox=mailbox,
            params={
                "$filter": f"receivedDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}{unread}",
                "$orderby": "receivedDateTime",
                "$select": "id,receivedDateTime",
                "$top": str(top),
            },
        ).body

    def _move(self, ref: MessageRef, folder_id: str) -> None:
        self._graph.request(
            "move_message",
            "POST",
            _path(ref, Scope.MAILBOX, "move"),
            mailbox=ref.mailbox,
            body={"destinationId": folder_id},
        )


@contextmanager
def _readable() -> Iterator[None]:
    """Raise Rejected(unreadable) in the place of Graph's codes for a damaged item."""
    try:
        yield
    except GraphRefused as refused:
        if refused.code in UNREADABLE_CODES:
            raise Rejected(Reason.UNREADABLE) from refused
        raise


def _path(ref: MessageRef, scope: Scope, *segments: str) -> str:
    """Return the path of a message, below the inbox for Scope.INBOX.

    Graph documents the path below a folder. Whether Exchange answers 404 there for a message in another folder is
    unknown: nothing depends on it.
    """
    folder = ("mailFolders", "inbox") if scope is Scope.INBOX else ()
    return user_path(ref.mailbox, *folder, "messages", ref.message_id, *segments)
