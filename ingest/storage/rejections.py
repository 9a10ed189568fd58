"""Rejections: sender, subject and reason of a mail that goes to Quarantine, for the people who look for the mail.

The app may add rows and read none. The tenant of a row is the tenant of the context, so that the caller can name no
other one.
"""

from __future__ import annotations

from ingest.codes import Reason
from ingest.model.claim import Claim
from ingest.model.message import Message
from ingest.storage.database import Connection, Database, as_text
from ingest.storage.search_words import words_of
from ingest.storage.tenants import Tenants

MAX_TEXT = 2000  # characters of a subject or a sender


class Rejections:
    """The rejections of one database. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._tenants = tenants

    # An owner that lost its lease adds nothing. A mail that is rejected again for the same reason has its row.
    REJECT = """
    insert into ingest.rejection (claim_id, tenant_id, reason, internet_message_id, subject, sender, received_at,
        search)
    select id, ingest.current_tenant(), %(reason)s, %(internet_message_id)s, %(subject)s, %(sender)s, %(received_at)s,
        to_tsvector('simple', %(words)s)
    from ingest.claim where id = %(id)s and fence = %(fence)s
    on conflict do nothing
    """

    def reject(self, claim: Claim, reason: Reason, message: Message) -> None:
        """Record the rejection for the context's tenant. Raises RuntimeError outside of `tenant_context`."""
        with self._database.connection("reject") as connection, connection.pipeline(), connection.transaction():
            self._tenants.enter(connection, claim)
            self._add(connection, claim, reason, message)

    def reject_unattributed(self, claim: Claim, reason: Reason, message: Message) -> None:
        """Record the rejection of a message that no tenant is known for."""
        with self._database.connection("reject") as connection:
            self._add(connection, claim, reason, message)

    def _add(self, connection: Connection, claim: Claim, reason: Reason, message: Message) -> None:
        connection.execute(
            self.REJECT,
            {
                "id": claim.id,
                "fence": claim.fence,
                "reason": reason,
                "internet_message_id": as_text(message.internet_message_id),
                "subject": as_text(message.subject[:MAX_TEXT]),
                "sender": as_text(message.sender[:MAX_TEXT]),
                "received_at": message.received_at,
                "words": as_text(words_of((message.subject, message.sender, message.internet_message_id, reason))),
            },
        )
