"""Messages, attachments and folders as Graph's JSON, whole or as $select asks for it."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.graph import clock
from local.graph.http.errors import GraphError, bad_query, unknown_property
from local.graph.http.odata import Schema, parse_expand, parse_names
from local.graph.mail import html, ids
from local.graph.mail.exchange import Json, Request
from local.graph.mail.headers import Address
from local.graph.mail.mime import ParsedMail
from local.graph.mail.store import Attachment, Folder, Mailbox, Message

_MESSAGE_SIZE = "long 0xe08"
_BODY_AS_TEXT = 'outlook.body-content-type="text"'
# The MIME of an attached message and of a whole one is served as text, as Graph does.
MIME_CONTENT_TYPE = "text/plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The form in which a request wants items: kind of ids, properties, expanded properties."""

    immutable_ids: bool
    text_body: bool = False
    select: tuple[str, ...] | None = None
    expand: Mapping[str, Mapping[str, str]] | None = None

    def id_of(self, message: Message) -> str:
        """Return the message's id in the form that the request asked for."""
        return message.immutable_id if self.immutable_ids else message.default_id


def message_view(request: Request) -> View:
    """Return the view of a request for messages; 400 where it names what a message does not have."""
    select = None
    if request.query.get("$select"):
        select = tuple(_spelled(name, _SELECTABLE, "message") for name in parse_names(request.query["$select"]))
    expand = parse_expand(request.query.get("$expand", ""))
    for name in expand:
        if name not in {"attachments", "singleValueExtendedProperties"}:
            raise unknown_property(name, "message")
    if "attachments" in expand:
        _attachment_select(expand["attachments"].get("$select"))
    return View(
        immutable_ids=request.immutable_ids,
        text_body=_BODY_AS_TEXT in request.headers.get("prefer", ""),
        select=select,
        expand=expand,
    )


def message_json(message: Message, view: View) -> Json:
    """Return a message with what $expand asks for. `id` and the etag are always there."""
    names = _DEFAULT if view.select is None else view.select
    result: Json = {
        "@odata.etag": etag(message),
        "id": view.id_of(message),
        **{name: _MESSAGE[name](message, view) for name in names if name != "id"},
    }
    expand = view.expand or {}
    if "attachments" in expand:
        select = _attachment_select(expand["attachments"].get("$select"))
        result["attachments"] = [attachment_json(message, a, view, select) for a in message.attachments]
    if "singleValueExtendedProperties" in expand:
        wanted = expand["singleValueExtendedProperties"].get("$filter", "")
        if (properties := _extended_properties(message, wanted)) is not None:
            result["singleValueExtendedProperties"] = properties
    return result


def change_key(message: Message) -> str:
    """Another one after every change."""
    number = message.change_number.to_bytes(6)
    return "CQAAABYAAAD" + base64.b64encode(message.mailbox.guid.bytes + number).decode()


def etag(message: Message) -> str:
    """Return what If-Match is compared with."""
    return f'W/"{change_key(message)}"'


def attachment_select(request: Request) -> tuple[str, ...] | None:
    """Return the $select of a request for attachments."""
    return _attachment_select(request.query.get("$select"))


def attachment_json(message: Message, attachment: Attachment, view: View, select: tuple[str, ...] | None) -> Json:
    """One attachment. Without a select it carries its `contentBytes`, as Graph's listing does."""
    parsed = attachment.parsed
    result: Json = {"@odata.type": f"#microsoft.graph.{parsed.kind}Attachment"}
    if parsed.kind == "file":
        result["@odata.mediaContentType"] = parsed.content_type
    result["id"] = ids.attachment_id(view.id_of(message), attachment.key)
    properties: Json = {
        "lastModifiedDateTime": clock.to_seconds(message.received),
        "name": parsed.name,
        "contentType": parsed.content_type,
        "size": parsed.size,
        "isInline": parsed.is_inline,
    }
    if parsed.kind == "file":
        properties |= {"contentId": parsed.content_id, "contentLocation": None}
    wants_bytes = select is None or "contentBytes" in select
    if wants_bytes and parsed.kind == "file" and parsed.content is not None:
        properties["contentBytes"] = base64.b64encode(parsed.content.read()).decode()
    if select is not None:
        properties = {name: value for name, value in properties.items() if name in select}
    return result | properties


def nested_message_json(mail: ParsedMail) -> Json:
    """Return the item of an itemAttachment ($expand=microsoft.graph.itemAttachment/item)."""
    return {
        "@odata.type": "#microsoft.graph.message",
        "id": "",
        "sentDateTime": clock.to_seconds(mail.sent) if mail.sent else None,
        "hasAttachments": any(not attachment.is_inline for attachment in mail.attachments),
        "internetMessageId": mail.message_id,
        "subject": mail.subject,
        "bodyPreview": mail.preview,
        "importance": mail.importance,
        "isDraft": False,
        "body": {"contentType": mail.body_type, "content": mail.body},
        "sender": _recipient(mail.sender),
        "from": _recipient(mail.from_),
        "toRecipients": _recipients(mail.to),
        "ccRecipients": _recipients(mail.cc),
        "replyTo": _recipients(mail.reply_to),
    }


def folder_json(
    mailbox: Mailbox, folder: Folder, select: tuple[str, ...] | None = None, extended: str | None = None
) -> Json:
    """Return a mail folder with its counts. `extended`: the $filter of the wanted extended properties."""
    result: Json = {
        "id": folder.id,
        "displayName": folder.display_name,
        "parentFolderId": folder.parent.id if folder.parent else None,
        "childFolderCount": len(mailbox.children(folder)),
        "unreadItemCount": sum(not message.is_read for message in folder.messages.values()),
        "totalItemCount": len(folder.messages),
        "isHidden": False,
    }
    shown = result if select is None else {name: result[name] for name in ("id", *select)}
    if extended is not None and _wants_size(extended):
        size = folder.ballast + sum(_size(message) for message in folder.messages.values())
        shown["singleValueExtendedProperties"] = [_size_property(size)]
    return shown


def folder_extended(request: Request) -> str | None:
    """Return the $filter of the extended properties in $expand; 400 where $expand names something else."""
    expand = parse_expand(request.query.get("$expand", ""))
    for name in expand:
        if name != "singleValueExtendedProperties":
            raise unknown_property(name, "mailFolder")
    return expand[name].get("$filter", "") if expand else None


def folder_select(request: Request) -> tuple[str, ...] | None:
    """Return the $select of a request for folders."""
    text = request.query.get("$select")
    return tuple(_spelled(name, _FOLDER_NAMES, "mailFolder") for name in parse_names(text)) if text else None


_FOLDER_NAMES = {
    name.lower(): name
    for name in (
        "id",
        "displayName",
        "parentFolderId",
        "childFolderCount",
        "unreadItemCount",
        "totalItemCount",
        "isHidden",
    )
}
FOLDER_SCHEMA = Schema(
    type_name="mailFolder",
    fields={
        "displayName": lambda folder: folder.display_name,
        "id": lambda folder: folder.id,
        "totalItemCount": lambda folder: len(folder.messages),
        "unreadItemCount": lambda folder: sum(not message.is_read for message in folder.messages.values()),
    },
)


def _recipient(address: Address | None) -> Json | None:
    return None if address is None else {"emailAddress": {"name": address.name, "address": address.address}}


def _recipients(addresses: Sequence[Address]) -> list[Json | None]:
    return [_recipient(address) for address in addresses]


def _body(message: Message, view: View) -> Json:
    mail = message.mail
    if mail.body_type == "html":
        if view.text_body:
            return {"contentType": "text", "content": html.to_text(mail.body)}
        return {"contentType": "html", "content": html.normalized(mail.body)}
    return {"contentType": "text", "content": mail.body}


def _conversation(message: Message) -> bytes:
    return hashlib.sha256((message.mail.thread or message.internet_message_id).encode("utf-8", "replace")).digest()


def _sent(message: Message) -> str:
    return clock.to_seconds(message.mail.sent or message.received)


def _parent_folder_id(message: Message) -> str | None:
    return message.folder.id if message.folder else None


def _web_link(message: Message, view: View) -> str:
    return f"https://outlook.office365.com/owa/?ItemID={view.id_of(message)}&exvsurl=1&viewmodel=ReadMessageItem"


# In the order in which Graph writes them.
_MESSAGE: dict[str, Callable[[Message, View], Any]] = {
    "createdDateTime": lambda m, _: clock.to_seconds(m.received),
    "lastModifiedDateTime": lambda m, _: clock.to_seconds(m.modified),
    "changeKey": lambda m, _: change_key(m),
    "categories": lambda m, _: list(m.categories),
    "receivedDateTime": lambda m, _: clock.to_seconds(m.received),
    "sentDateTime": lambda m, _: _sent(m),
    "hasAttachments": lambda m, _: m.has_attachments,
    "internetMessageId": lambda m, _: m.internet_message_id,
    "subject": lambda m, _: m.subject,
    "bodyPreview": lambda m, _: m.mail.preview,
    "importance": lambda m, _: m.importance,
    "parentFolderId": lambda m, _: _parent_folder_id(m),
    "conversationId": lambda m, _: "AAQkADAw" + base64.urlsafe_b64encode(_conversation(m)).decode(),
    "conversationIndex": lambda m, _: base64.b64encode(b"\x01" + _conversation(m)[:21]).decode(),
    "isDeliveryReceiptRequested": lambda _m, _v: None,
    "isReadReceiptRequested": lambda m, _: m.mail.read_receipt,
    "isRead": lambda m, _: m.is_read,
    "isDraft": lambda _m, _v: False,
    "webLink": _web_link,
    "inferenceClassification": lambda m, _: m.inference,
    "body": _body,
    "sender": lambda m, _: _recipient(m.mail.sender),
    "from": lambda m, _: _recipient(m.mail.from_),
    "toRecipients": lambda m, _: _recipients(m.mail.to),
    "ccRecipients": lambda m, _: _recipients(m.mail.cc),
    # The envelope is gone when a mail is in the mailbox, and with it the recipients of blind copies.
    "bccRecipients": lambda _m, _v: [],
    "replyTo": lambda m, _: _recipients(m.mail.reply_to),
    "flag": lambda m, _: {"flagStatus": m.flag_status},
    "uniqueBody": _body,
    "internetMessageHeaders": lambda m, _: _internet_headers(m),
}
_DEFAULT = tuple(name for name in _MESSAGE if name not in {"uniqueBody", "internetMessageHeaders"})
_SELECTABLE = {name.lower(): name for name in ("id", *_MESSAGE)}

_RECIPIENT_FIELDS = {
    "emailAddress/address": lambda recipient: recipient.address,
    "emailAddress/name": lambda recipient: recipient.name,
}
MESSAGE_SCHEMA = Schema(
    type_name="message",
    fields={
        "id": lambda m: m.default_id,
        "isRead": lambda m: m.is_read,
        "isDraft": lambda _: False,
        "hasAttachments": lambda m: m.has_attachments,
        "subject": lambda m: m.subject,
        "importance": lambda m: m.importance,
        "receivedDateTime": lambda m: m.received,
        "sentDateTime": lambda m: m.mail.sent or m.received,
        "createdDateTime": lambda m: m.received,
        "lastModifiedDateTime": lambda m: m.modified,
        "internetMessageId": lambda m: m.internet_message_id,
        "conversationId": lambda m: _MESSAGE["conversationId"](m, View(immutable_ids=False)),
        "parentFolderId": _parent_folder_id,
        "inferenceClassification": lambda m: m.inference,
        "flag/flagStatus": lambda m: m.flag_status,
        "bodyPreview": lambda m: m.mail.preview,
        "body/content": lambda m: m.mail.body,
        "from/emailAddress/address": lambda m: m.mail.from_.address if m.mail.from_ else None,
        "from/emailAddress/name": lambda m: m.mail.from_.name if m.mail.from_ else None,
        "sender/emailAddress/address": lambda m: m.mail.sender.address if m.mail.sender else None,
        "sender/emailAddress/name": lambda m: m.mail.sender.name if m.mail.sender else None,
    },
    collections={
        "toRecipients": (lambda m: m.mail.to, _RECIPIENT_FIELDS),
        "ccRecipients": (lambda m: m.mail.cc, _RECIPIENT_FIELDS),
        "categories": (lambda m: m.categories, {"": lambda category: category}),
    },
)


def _internet_headers(message: Message) -> list[Json]:
    # "Without To", as the facts have it; the blind-copy header would not survive the transport either.
    hidden = {"to", "cc", "bcc"}
    return [{"name": name, "value": value} for name, value in message.mail.headers if name.lower() not in hidden]


_BASE_ATTACHMENT = {
    name.lower(): name for name in ("id", "name", "contentType", "size", "isInline", "lastModifiedDateTime")
}
_FILE_ATTACHMENT = {name.lower(): name for name in ("contentId", "contentLocation", "contentBytes")}
_FILE_CAST = "microsoft.graph.fileattachment/"


def _attachment_select(text: str | None) -> tuple[str, ...] | None:
    """Plain `contentId` fails: it belongs to fileAttachment and has to be named by cast."""
    if not text:
        return None
    names = []
    for name in parse_names(text):
        if name.lower().startswith(_FILE_CAST):
            names.append(_spelled(name[len(_FILE_CAST) :], _BASE_ATTACHMENT | _FILE_ATTACHMENT, "fileAttachment"))
        else:
            names.append(_spelled(name, _BASE_ATTACHMENT, "attachment"))
    return tuple(names)


def _spelled(name: str, known: Mapping[str, str], type_name: str) -> str:
    found = known.get(name.lower())
    if found is None:
        raise unknown_property(name, type_name)
    return found


def _extended_properties(message: Message, wanted: str) -> list[Json] | None:
    return [_size_property(_size(message))] if _wants_size(wanted) else None


def _size(message: Message) -> int:
    return message.mime.length + 1024


def _size_property(size: int) -> Json:
    """Return PR_MESSAGE_SIZE_EXTENDED; Graph writes its id back in its own spelling, `Long 0xe08`."""
    return {"id": "Long 0xe08", "value": str(size)}


def _wants_size(wanted: str) -> bool:
    """Return whether a $filter names PR_MESSAGE_SIZE_EXTENDED, the only property that is known; 400 if unreadable."""
    if not wanted:
        raise bad_query("$expand of extended properties needs a $filter on their id.")
    quoted = wanted.partition("'")[2].partition("'")[0]
    kind, _, number = quoted.partition(" ")
    try:
        name = f"{kind.lower()} 0x{int(number, 16):x}"
    except ValueError:
        raise GraphError(
            400, "ErrorInvalidProperty", f"The property '{quoted}' is not a valid extended property."
        ) from None
    return name == _MESSAGE_SIZE
