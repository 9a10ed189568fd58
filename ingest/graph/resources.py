"""Graph's JSON as the app's values: messages, attachments, recipients.

https://learn.microsoft.com/graph/api/resources/message
https://learn.microsoft.com/graph/api/resources/attachment
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ingest.codes import Reason
from ingest.graph.listings import Item, id_of, time_of, time_or_none
from ingest.model.message import Attachment, AttachmentKind, ListedMessage, Message, QuarantinedMail
from ingest.model.message_ref import MessageRef, Trigger

_REASONS = frozenset(Reason)


def message_of(ref: MessageRef, item: Item) -> Message:
    """Return a message's metadata. A time that is missing or unreadable is now."""
    return Message(
        ref=ref,
        internet_message_id=str(item.get("internetMessageId") or "") or None,
        subject=str(item.get("subject") or ""),
        sender=_address(item.get("from")),
        to=_addresses(item.get("toRecipients")),
        cc=_addresses(item.get("ccRecipients")),
        received_at=time_or_none(item.get("receivedDateTime")) or datetime.now(UTC),
    )


def attachment_of(item: Item) -> Attachment:
    """Return an attachment from Graph's JSON. Only the id has to be there: the content is read by the id.

    Raises as `id_of`.
    """
    name = str(item.get("@odata.type", "")).rpartition(".")[2]
    kind = AttachmentKind(name) if name in set(AttachmentKind) else AttachmentKind.UNKNOWN
    size = item.get("size")
    return Attachment(
        id=id_of(item),
        kind=kind,
        name=_text(item.get("name")),
        content_type=_text(item.get("contentType")) or None,
        content_id=_text(item.get("contentId")).strip("<>") or None,
        size=size if isinstance(size, int) else 0,
    )


def _text(value: object) -> str:
    """Return a text; "" where the value is missing or of another type."""
    return value if isinstance(value, str) else ""


def listed_message_of(mailbox: str, item: Item) -> ListedMessage:
    """Return a message in a listing of the inbox. Raises as `id_of`."""
    return ListedMessage(
        ref=MessageRef(mailbox=mailbox, message_id=id_of(item), trigger=Trigger.SWEEP),
        received_at=time_or_none(item.get("receivedDateTime")),
    )


def quarantined_mail_of(mailbox: str, item: Item) -> QuarantinedMail:
    """Return a mail in the Quarantine folder. Raises as `id_of` and `time_of`."""
    categories = item.get("categories") or ()
    return QuarantinedMail(
        ref=MessageRef(mailbox=mailbox, message_id=id_of(item), trigger=Trigger.OPERATOR),
        received_at=time_of(item["receivedDateTime"]),
        sender=_address(item.get("from")),
        subject=str(item.get("subject") or ""),
        reason=next((Reason(category) for category in categories if category in _REASONS), None),
    )


def without_reason(categories: Sequence[str]) -> list[str]:
    """Return the categories of a message but those that are reasons of a quarantine."""
    return [category for category in categories if category not in _REASONS]


def _addresses(recipients: object) -> tuple[str, ...]:
    """Return the addresses of a list of recipients, without those that have none."""
    found = map(_address, recipients if isinstance(recipients, list) else ())
    return tuple(address for address in found if address)


def _address(recipient: object) -> str:
    """Return a recipient's address; "" where the recipient has none, or another shape."""
    email = recipient.get("emailAddress") if isinstance(recipient, Mapping) else None
    address = email.get("address") if isinstance(email, Mapping) else None
    return address if isinstance(address, str) else ""
