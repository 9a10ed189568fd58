"""Mailboxes, folders and messages: what Exchange would keep, in memory; contents are files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from local.graph import clock
from local.graph.http.errors import GraphError, item_not_found, malformed_id
from local.graph.mail import ids
from local.graph.mail.content import Content
from local.graph.mail.mime import ParsedAttachment, ParsedMail
from local.graph.push.changes import ChangeFeed

# Well-known name → display name, parent. https://learn.microsoft.com/graph/api/resources/mailfolder
_WELL_KNOWN = {
    "msgfolderroot": ("Top of Information Store", None),
    "inbox": ("Inbox", "msgfolderroot"),
    "drafts": ("Drafts", "msgfolderroot"),
    "sentitems": ("Sent Items", "msgfolderroot"),
    "deleteditems": ("Deleted Items", "msgfolderroot"),
    "junkemail": ("Junk Email", "msgfolderroot"),
    "outbox": ("Outbox", "msgfolderroot"),
    "archive": ("Archive", "msgfolderroot"),
    "conversationhistory": ("Conversation History", "msgfolderroot"),
    "recoverableitemsdeletions": ("Deletions", None),
}
_GONE = frozenset({"deleteditems", "recoverableitemsdeletions"})

type ChangeType = Literal["created", "updated", "deleted"]


@dataclass(kw_only=True, slots=True, eq=False)
class Attachment:
    """An attachment in its message; `key` makes its id, `source_url` belongs to a reference attachment."""

    key: str
    parsed: ParsedAttachment


@dataclass(kw_only=True, slots=True, eq=False)
class Folder:
    """A mail folder; `well_known` is its name in paths, where it has one. `ballast`: bytes beside its messages'."""

    id: str
    display_name: str
    parent: "Folder | None"
    well_known: str | None = None
    messages: dict[str, "Message"] = field(default_factory=dict)
    ballast: int = 0


@dataclass(kw_only=True, slots=True, eq=False)
class Message:
    """A message and where it is; `folder` is None once it is purged. `version` is that of its last change."""

    mailbox: "Mailbox"
    folder: Folder | None
    immutable_id: str
    default_id: str
    mail: ParsedMail
    mime: Content
    internet_message_id: str
    received: datetime
    modified: datetime
    attachments: list[Attachment]
    subject: str
    importance: str
    is_read: bool = False
    categories: tuple[str, ...] = ()
    flag_status: str = "notFlagged"
    inference: str = "focused"
    change_number: int = 1
    version: int = 0

    @property
    def has_attachments(self) -> bool:
        """Exchange counts only what is not inline."""
        return any(not attachment.parsed.is_inline for attachment in self.attachments)

    @property
    def where(self) -> str:
        """The folder's display name, or `deleted`, or `permanentlyDeleted`."""
        if self.folder is None:
            return "permanentlyDeleted"
        return "deleted" if self.folder.well_known in _GONE else self.folder.display_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change that a subscription may cover, and the folder in which it happened."""

    change_type: ChangeType
    message: Message
    folder: Folder


class Mailbox:
    """One user's mailbox; finds folders and messages by any of their ids."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.guid = ids.mailbox_guid(address)
        self.folders: dict[str, Folder] = {}
        self._well_known: dict[str, Folder] = {}
        self.by_id: dict[str, Message] = {}
        for name, (display_name, parent) in _WELL_KNOWN.items():
            folder = Folder(
                id=ids.new_folder_id(self.guid),
                display_name=display_name,
                parent=self._well_known[parent] if parent else None,
                well_known=name,
            )
            self.folders[folder.id] = self._well_known[name] = folder

    def well_known(self, name: str) -> Folder:
        """Return a folder that every mailbox has; KeyError for another name."""
        return self._well_known[name.lower()]

    def folder(self, key: str) -> Folder:
        """By id or well-known name; 404 where it is gone, 400 where `key` can't be an id."""
        found = self._well_known.get(key.lower()) or self.folders.get(key)
        if found is None:
            raise item_not_found() if ids.is_wellformed(key) else malformed_id()
        return found

    def message(self, key: str) -> Message:
        """By default or immutable id; 404 where it is gone, 400 where `key` can't be an id."""
        found = self.by_id.get(key)
        if found is None:
            raise item_not_found() if ids.is_wellformed(key) else malformed_id()
        return found

    def children(self, parent: Folder) -> list[Folder]:
        """Return the folders directly below `parent`, in the order of their names."""
        found = [folder for folder in self.folders.values() if folder.parent is parent]
        return sorted(found, key=lambda folder: folder.display_name.casefold())

    def child_named(self, parent: Folder, display_name: str) -> Folder | None:
        """Names are unique below one parent, without regard to case."""
        wanted = display_name.casefold()
        return next((f for f in self.children(parent) if f.display_name.casefold() == wanted), None)


class Store:
    """All mailboxes. Every change passes here, so that versions and listeners see it."""

    def __init__(self, addresses: tuple[str, ...], feed: ChangeFeed) -> None:
        self.mailboxes = [Mailbox(address) for address in addresses]
        self.messages: dict[str, Message] = {}
        self.listeners: list[Callable[[Change], None]] = []
        self._feed = feed
        self._by_key = {m.address.casefold(): m for m in self.mailboxes} | {str(m.guid): m for m in self.mailboxes}

    def mailbox(self, key: str) -> Mailbox:
        """By address or user id, without regard to case; 404 for another user."""
        found = self._by_key.get(key.casefold())
        if found is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{key}' is invalid.")
        return found

    def recipient_mailboxes(self, recipients: Sequence[str]) -> list[Mailbox]:
        """Return each mailbox of the recipients once; the first mailbox is the catch-all for unknown recipients."""
        found = [self._by_key.get(address.strip("<> ").casefold(), self.mailboxes[0]) for address in recipients]
        return list(dict.fromkeys(found)) or [self.mailboxes[0]]

    def deliver(self, mailbox: Mailbox, mail: ParsedMail, mime: Content, *, folder: str = "inbox") -> Message:
        """Put a new mail into the inbox, or into another folder by its well-known name."""
        place = mailbox.well_known(folder)
        received = clock.now().replace(microsecond=0)
        immutable_id = ids.new_immutable_id(mailbox.guid)
        message = Message(
            mailbox=mailbox,
            folder=None,
            immutable_id=immutable_id,
            default_id=ids.new_default_id(mailbox.guid),
            mail=mail,
            mime=mime,
            internet_message_id=mail.message_id or f"<{mime.sha256[:32]}@simulator.invalid>",
            received=received,
            modified=received,
            attachments=[Attachment(key=ids.new_attachment_key(), parsed=parsed) for parsed in mail.attachments],
            subject=mail.subject,
            importance=mail.importance,
        )
        self.messages[immutable_id] = message
        mailbox.by_id[immutable_id] = mailbox.by_id[message.default_id] = message
        self._place(message, place)
        self._changed("created", message, place)
        return message

    def move(self, message: Message, destination: Folder) -> None:
        """To another folder: a new default id, `deleted` at the old place and `created` at the new one."""
        origin = message.folder
        if origin is destination:
            return
        self._take_out(message)
        message.default_id = ids.new_default_id(message.mailbox.guid)
        message.mailbox.by_id[message.default_id] = message
        self._place(message, destination)
        if origin is not None:
            self._changed("deleted", message, origin)
        self._changed("created", message, destination)

    def purge(self, message: Message) -> None:
        """Gone for good; only its record stays."""
        origin = message.folder
        self._take_out(message)
        message.mailbox.by_id.pop(message.immutable_id, None)
        message.folder = None
        if origin is not None:
            self._changed("deleted", message, origin)

    def updated(self, message: Message) -> None:
        """To be called after a property of the message was set."""
        if message.folder is not None:
            self._changed("updated", message, message.folder)

    def create_folder(self, mailbox: Mailbox, parent: Folder, display_name: str) -> Folder:
        """Create a folder below `parent`; 409 where the name is taken."""
        self._check_free(mailbox, parent, display_name)
        folder = Folder(id=ids.new_folder_id(mailbox.guid), display_name=display_name, parent=parent)
        mailbox.folders[folder.id] = folder
        self._feed.bump()
        return folder

    def rename_folder(self, mailbox: Mailbox, folder: Folder, display_name: str) -> None:
        """Another display name, the same id; 409 where the name is taken."""
        if folder.parent is not None and mailbox.child_named(folder.parent, display_name) is not folder:
            self._check_free(mailbox, folder.parent, display_name)
        folder.display_name = display_name
        for message in folder.messages.values():
            message.version = self._feed.bump()
        self._feed.bump()

    def delete_folder(self, mailbox: Mailbox, folder: Folder) -> None:
        """With everything below it; its messages go to Deleted Items. 403 for a folder every mailbox has."""
        if folder.well_known is not None:
            raise GraphError(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        for child in mailbox.children(folder):
            self.delete_folder(mailbox, child)
        for message in list(folder.messages.values()):
            self.move(message, mailbox.well_known("deleteditems"))
        del mailbox.folders[folder.id]
        self._feed.bump()

    def folders(self) -> Iterator[tuple[Mailbox, Folder]]:
        """Every folder of every mailbox."""
        return ((mailbox, folder) for mailbox in self.mailboxes for folder in mailbox.folders.values())

    def _check_free(self, mailbox: Mailbox, parent: Folder, display_name: str) -> None:
        if mailbox.child_named(parent, display_name) is not None:
            raise GraphError(
                409,
                "ErrorFolderExists",
                f"A folder with the specified name already exists., Could not create folder with name {display_name}.",
            )

    @staticmethod
    def _place(message: Message, folder: Folder) -> None:
        message.folder = folder
        folder.messages[message.immutable_id] = message

    @staticmethod
    def _take_out(message: Message) -> None:
        if message.folder is not None:
            del message.folder.messages[message.immutable_id]
        message.mailbox.by_id.pop(message.default_id, None)

    def _changed(self, change_type: ChangeType, message: Message, folder: Folder) -> None:
        message.change_number += 1
        message.modified = clock.now()
        message.version = self._feed.bump()
        for listener in self.listeners:
            listener(Change(change_type=change_type, message=message, folder=folder))
