"""Ids that look and behave like Exchange's: opaque, case-sensitive, URL-safe base64.

Default ids name the place of an item and so change on every move; immutable ids do not.
https://learn.microsoft.com/graph/outlook-immutable-id
"""

import base64
import re
import secrets
import uuid

_SHAPE = re.compile(r"A[A-Za-z0-9_-]{39,}={0,2}\Z")
_MAILBOX_NAMESPACE = uuid.UUID("5b1c7f43-6f0f-4f3a-9d0a-3f1f0a6f8d11")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def mailbox_guid(address: str) -> uuid.UUID:
    """Derive the user id: the same address has the same one in every run."""
    return uuid.uuid5(_MAILBOX_NAMESPACE, address.casefold())


def new_folder_id(mailbox: uuid.UUID) -> str:
    """Folder ids are constant in both id types."""
    return "AQMkADAwATM" + _encode(mailbox.bytes + secrets.token_bytes(18) + b"\0\0")


def new_default_id(mailbox: uuid.UUID) -> str:
    """For a message at the place where it is now."""
    return "AAMkADAw" + _encode(mailbox.bytes + secrets.token_bytes(45) + b"\0\0")


def new_immutable_id(mailbox: uuid.UUID) -> str:
    """For a message wherever it goes within its mailbox."""
    return "AAkALgAA" + _encode(b"\x1d\x84\x03\x11" + mailbox.bytes + secrets.token_bytes(25) + b"\0\0")


def new_attachment_key() -> str:
    """Draw a key that is unique among the attachments of a message."""
    return _encode(secrets.token_bytes(12))


def attachment_id(message_id: str, key: str) -> str:
    """Build an attachment's id from its message's: it is as immutable as that one."""
    return f"{message_id.rstrip('=')}BEgAQA{key}="


def is_wellformed(text: str) -> bool:
    """Return True where `text` has the form of an id: Exchange answers 400 to malformed ids, 404 to unknown ones."""
    return _SHAPE.match(text) is not None
