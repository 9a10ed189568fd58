"""Plain values that many tests need; each test names only what it is about."""

from datetime import UTC, datetime

from ingest.model.message import Attachment, AttachmentKind, Message
from ingest.model.message_ref import MessageRef, Trigger

MAILBOX = "upload@dms.example"
OTHER_MAILBOX = "second@dms.example"
TOKEN = "0123456789abcdef" * 2
OTHER_TOKEN = "fedcba9876543210" * 2
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

CLIENT_STATE = "the-newest-secret"
OLD_CLIENT_STATE = "the-secret-before"

# Every secret below is recognisable in each text that it would leak into.
ENVIRONMENT = {
    "AZURE_INGEST_CLIENT_ID": "11111111-1111-1111-1111-111111111111",
    "AZURE_INGEST_CLIENT_SECRET": "leaked-client-secret",
    "AZURE_INGEST_TENANT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_INGEST_MAILBOX": MAILBOX,
    "INGEST_NOTIFICATION_URL": "https://app.example",
    "INGEST_CLIENT_STATE": f"{CLIENT_STATE},{OLD_CLIENT_STATE}",
    "INGEST_DATABASE_URL": "postgresql://ingest:leaked-password@db.example:5432/dms?sslmode=require",
    "INGEST_STORAGE": "AccountName=dms;AccountKey=bGVha2VkLWtleQ==;BlobEndpoint=https://dms.blob.example/",
}


def ref(message_id: str = "AAkALg1", mailbox: str = MAILBOX, trigger: Trigger = Trigger.WEBHOOK) -> MessageRef:
    return MessageRef(mailbox=mailbox, message_id=message_id, trigger=trigger)


def attachment(
    name: str = "invoice.pdf",
    *,
    attachment_id: str = "att-1",
    kind: AttachmentKind = AttachmentKind.FILE,
    content_type: str | None = "application/pdf",
    content_id: str | None = None,
) -> Attachment:
    return Attachment(
        id=attachment_id,
        kind=kind,
        name=name,
        content_type=content_type,
        content_id=content_id,
    )


def message(
    *,
    to: tuple[str, ...] = (f"upload.{TOKEN}@dms.example",),
    cc: tuple[str, ...] = (),
    of: MessageRef | None = None,
    subject: str = "Rechnung 4711",
) -> Message:
    return Message(
        ref=of or ref(),
        internet_message_id="<4711@supplier.example>",
        subject=subject,
        sender="billing@supplier.example",
        to=to,
        cc=cc,
        received_at=NOON,
    )
