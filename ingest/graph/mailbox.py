"""The mail calls: Graph's JSON in, our model out.

https://learn.microsoft.com/graph/api/resources/message
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import quote

from ingest import log
from ingest.codes import Reason
from ingest.errors import GraphRefused, NotFound, Rejected
from ingest.graph.client import CANNOT_DELETE, GraphClient, Json
from ingest.model import Attachment, AttachmentKind, LeftOver, Message, MessageRef, Trigger
from ingest.settings import DeleteMode, SweepScope

# A message may not be found for a moment after its notification.
NOT_FOUND_WAITS = (0.5, 1.0, 2.0)  # seconds
FOLDER_CACHE = timedelta(minutes=5)  # how long a folder that somebody renamed or threw away may still be used
PAGE_SIZE = 1000  # messages a listing request, the most that Outlook takes; each is an id, a time and a size

_ATTACHMENT_FIELDS = "id,name,contentType,microsoft.graph.fileAttachment/contentId"
_MESSAGE_FIELDS = (
    "id,internetMessageId,subject,from,toRecipients,ccRecipients,receivedDateTime,parentFolderId,categories"
)
# Bytes. A message that a listing showed to be no larger is fetched with the content of its attachments: one request
# instead of one for each. See docs/decisions/requests-per-mail.md.
SMALL_MESSAGE = 1024 * 1024
_SIZE = "Long 0x0E08"  # PR_MESSAGE_SIZE; a message has no property of its own for it
# What Exchange says of an item whose stored content is damaged: no retry will mend it.
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


class Mailboxes:
    """Reads and cleans up mailboxes through Graph."""

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
        self._quarantine_folder = quarantine_folder
        self._delete_mode = delete_mode
        self._sweep_scope = sweep_scope
        self._sleep = sleep
        self._folders: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._folders_lock = Lock()

    def fetch(self, ref: MessageRef) -> Message:
        """The message with everything but content. Raises NotFound, Rejected(unreadable), Later."""
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
        """The whole message as MIME, byte for byte as Graph gives it.

        Raises as `GraphClient.stream`, and Rejected(unreadable).
        """
        path = f"{_message_path(ref)}/$value"
        with _readable(), self._graph.stream("get_mime", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    @contextmanager
    def content(self, ref: MessageRef, attachment: Attachment) -> Iterator[Iterator[bytes]]:
        """An attachment's bytes. Raises as `original`."""
        if attachment.content is not None:
            yield iter((attachment.content,))
            return
        path = f"{_message_path(ref)}/attachments/{quote(attachment.id, safe='')}/$value"
        with _readable(), self._graph.stream("get_attachment", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    @contextmanager
    def body(self, ref: MessageRef) -> Iterator[Iterator[bytes]]:
        """Graph's JSON of the message's body. A body can be as large as a mail. Raises as `original`."""
        path = f"{_message_path(ref)}?$select=body"
        with self._graph.stream("get_body", path, mailbox=ref.mailbox) as blocks:
            yield blocks

    def in_inbox(self, message: Message) -> bool:
        """Whether the message is in its mailbox's inbox, and so ours to work on."""
        mailbox = message.ref.mailbox
        return message.parent_folder_id == self._folder(mailbox, "inbox", self._get_inbox)

    def delete(self, ref: MessageRef) -> None:
        """Take the message out of the mailbox. One that is gone already is done."""
        try:
            if self._delete_mode is DeleteMode.PERMANENT:
                path = f"{_message_path(ref)}/permanentDelete"
                self._graph.request("delete_message", "POST", path, mailbox=ref.mailbox)
            else:
                self._graph.request("delete_message", "DELETE", _message_path(ref), mailbox=ref.mailbox)
        except NotFound:
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)
        except GraphRefused as refused:
            if refused.code != CANNOT_DELETE or self.categories_in_inbox(ref) is not None:
                raise
            log.info("message.already_gone", mailbox=ref.mailbox, message=ref.message_id)

    def categories_in_inbox(self, ref: MessageRef) -> Sequence[str] | None:
        """The categories of a message that is in the inbox; None of one that is elsewhere or gone."""
        params = {"$select": "id,parentFolderId,categories"}
        try:
            body = self._graph.request(
                "locate_message", "GET", _message_path(ref), mailbox=ref.mailbox, params=params
            ).body
        except NotFound:
            return None
        if body.get("parentFolderId") != self._folder(ref.mailbox, "inbox", self._get_inbox):
            return None
        return tuple(body.get("categories") or ())

    def quarantine(self, ref: MessageRef, reason: Reason, categories: Sequence[str] = ()) -> None:
        """Put the reason on the message and move it to the Quarantine folder. Raises NotFound, Later.

        `categories`: those that it has; all but an earlier reason are kept.
        """
        kept = [category for category in categories if category not in set(Reason)]
        self._graph.request(
            "categorise_message",
            "PATCH",
            _message_path(ref),
            mailbox=ref.mailbox,
            body={"categories": [*kept, reason.value]},
        )
        folder = self._folder(ref.mailbox, self._quarantine_folder, self._find_or_create_folder)
        try:
            self._move(ref, folder)
        except (NotFound, GraphRefused):
            # 404 says that the message or the folder is gone. Only a folder found anew can tell which.
            self._forget_folder(ref.mailbox, self._quarantine_folder)
            found = self._folder(ref.mailbox, self._quarantine_folder, self._find_or_create_folder)
            if found == folder:
                raise
            self._move(ref, found)

    def find_quarantine(self, mailbox: str) -> str | None:
        """The id of the Quarantine folder; None where there is none yet."""
        return self._find_folder(mailbox)

    def count_inbox(self, mailbox: str) -> InboxCount:
        """How many messages the inbox holds."""
        path = f"/users/{quote(mailbox, safe='@')}/mailFolders/inbox"
        params = {"$select": "id,totalItemCount,unreadItemCount"}
        answer = self._graph.request("get_inbox", "GET", path, mailbox=mailbox, params=params).body
        return InboxCount(total=int(answer["totalItemCount"]), unread=int(answer["unreadItemCount"]))

    def left_over(self, mailbox: str) -> Iterator[Sequence[LeftOver]]:
        """The inbox's messages in pages, oldest first; ends when a page brings nothing new.

        Pages are asked for by time, not by nextLink: that one counts positions, and whoever deletes while
        paging skips messages. It is followed only where a full page shares one second.
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
            f"/users/{quote(mailbox, safe='@')}/mailFolders('inbox')/messages",
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
            f"{_message_path(ref)}/move",
            mailbox=ref.mailbox,
            body={"destinationId": folder_id},
        )

    def _folder(self, mailbox: str, name: str, find: Callable[[str], str]) -> str:
        key = (mailbox, name)
        with self._folders_lock:
            cached = self._folders.get(key)
        now = datetime.now(UTC)
        if cached is not None and cached[1] > now:
            return cached[0]
        folder_id = find(mailbox)
        with self._folders_lock:
            self._folders[key] = (folder_id, now + FOLDER_CACHE)
        return folder_id

    def _forget_folder(self, mailbox: str, name: str) -> None:
        with self._folders_lock:
            self._folders.pop((mailbox, name), None)

    def _get_inbox(self, mailbox: str) -> str:
        path = f"/users/{quote(mailbox, safe='@')}/mailFolders/inbox"
        answer = self._graph.request("get_inbox", "GET", path, mailbox=mailbox, params={"$select": "id"})
        return str(answer.body["id"])

    def _find_or_create_folder(self, mailbox: str) -> str:
        found = self._find_folder(mailbox)
        if found is not None:
            return found
        try:
            answer = self._graph.request(
                "create_folder",
                "POST",
                f"/users/{quote(mailbox, safe='@')}/mailFolders",
                mailbox=mailbox,
                body={"displayName": self._quarantine_folder},
            )
        except GraphRefused as refused:
            if refused.code != "ErrorFolderExists":  # another instance was faster
                raise
            found = self._find_folder(mailbox)
            if found is None:
                raise
            return found
        log.info("quarantine.folder_created", mailbox=mailbox)
        return str(answer.body["id"])

    def _find_folder(self, mailbox: str) -> str | None:
        name = self._quarantine_folder.replace("'", "''")
        answer = self._graph.request(
            "find_folder",
            "GET",
            f"/users/{quote(mailbox, safe='@')}/mailFolders",
            mailbox=mailbox,
            params={"$filter": f"displayName eq '{name}'", "$select": "id,displayName"},
        )
        return next((str(folder["id"]) for folder in answer.body.get("value") or ()), None)


@contextmanager
def _readable() -> Iterator[None]:
    """Turns Graph's words for a damaged item into a rejection."""
    try:
        yield
    except GraphRefused as refused:
        if refused.code in _UNREADABLE_CODES:
            raise Rejected(Reason.UNREADABLE) from refused
        raise


def _message_path(ref: MessageRef) -> str:
    return f"/users/{quote(ref.mailbox, safe='@')}/messages/{quote(ref.message_id, safe='')}"


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
    """None where there is none, or none that can be read: then it is streamed from its own address."""
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


def _address(recipient: Mapping[str, Any] | None) -> str:
    return str(((recipient or {}).get("emailAddress") or {}).get("address") or "")


def _addresses(recipients: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    return tuple(address for address in map(_address, recipients or ()) if address)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
