"""The Quarantine folder as an operator works on it: the mails in it, their way back to the inbox, their assignment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import LiteralString

from ingest import log, routing
from ingest.codes import Reason
from ingest.errors import MimeUnavailable, NotFound, OperatorError, Rejected
from ingest.model.claim import ClaimState
from ingest.model.message import QuarantinedMail, Scope
from ingest.model.message_ref import MessageRef
from ingest.model.tenant import Tenant
from ingest.original import message_of, read_header
from ingest.routing import Addressing
from ingest.wiring import App
from operations.audit import Account, Audit
from operations.database import connect
from operations.inspection import Inspection
from operations.mails.ingestion import ingest_assigned
from operations.tenants.records import Tenants

# To the end of the transaction.
_ALONE: LiteralString = """
select pg_try_advisory_xact_lock(
    hashtextextended('quarantine ' || %(mailbox)s || ' ' || %(message_id)s, 0)
) as alone
"""
_UNDER_WAY = frozenset({ClaimState.PROCESSING, ClaimState.STORED, ClaimState.DELETED})


class Quarantine:
    """The Quarantine folders of the app's mailboxes. Every call may raise Later."""

    def __init__(self, app: App, operator_database_url: str) -> None:
        self._app = app
        self._url = operator_database_url
        self._audit = Audit(operator_database_url)
        self._tenants = Tenants(operator_database_url)
        self._inspection = Inspection(operator_database_url)

    def mails(self, mailbox: str, *, reason: Reason | None = None) -> Iterator[QuarantinedMail]:
        """Yield the mails in the folder, all or those with one reason, oldest first; none where there is no folder."""
        for mail in self._app.mailboxes.quarantined(mailbox):
            if reason is None or mail.reason is reason:
                yield mail

    def release(self, ref: MessageRef, account: Account) -> Reason | None:
        """Move a mail back to the inbox, unread and without its reason, as if it had just come in.

        Graph announces the mail as a new message, so that it is ingested again. Returns the reason for which its
        addresses are still rejected; None where they are not. Raises OperatorError.
        """
        with self._alone(ref):
            categories = self._categories(ref)
            rejected = self._rejected(ref)
            # Recorded first: no mail moves without an entry.
            self._audit.record("message.release", ref.message_id, account, details={"mailbox": ref.mailbox})
            self._app.mailboxes.release(ref, categories)
        log.info("quarantine.released", mailbox=ref.mailbox, message=ref.message_id)
        return rejected

    def assign(self, ref: MessageRef, wanted: str, account: Account) -> str:
        """Ingest a mail for the tenant with this id or token; say what was stored. Raises OperatorError."""
        self._categories(ref)
        tenant = self._tenants.assign(ref, wanted, account)
        log.info("message.assigned", mailbox=ref.mailbox, message=ref.message_id, tenant=tenant.id)
        stored = ingest_assigned(self._app, ref, Tenant(id=tenant.id))
        return f"ingested for tenant {tenant.id}: {stored}; the mail has left Quarantine"

    def delete(self, ref: MessageRef, account: Account) -> None:
        """Move a mail to Deleted Items, where Exchange keeps it for a while. Raises OperatorError."""
        with self._alone(ref):
            self._categories(ref)
            self._audit.record("message.delete", ref.message_id, account, details={"mailbox": ref.mailbox})
            self._app.mailboxes.discard(ref)

    def bring_back(self, ref: MessageRef, account: Account) -> None:
        """Move a mail that was released or deleted a moment ago to Quarantine again.

        Raises OperatorError where the app works on the mail or has stored it: the mail would be in two places.
        """
        with self._alone(ref):
            self._bring_back(ref, account)

    def _bring_back(self, ref: MessageRef, account: Account) -> None:
        claims = [claim for claim in self._inspection.find(ref.message_id) if claim.mailbox == ref.mailbox]
        if any(claim.state in _UNDER_WAY for claim in claims):
            raise OperatorError("The mail is being ingested, or was: nothing is taken back.")
        self._audit.record("message.bring_back", ref.message_id, account, details={"mailbox": ref.mailbox})
        try:
            self._app.mailboxes.bring_back(ref)
        except NotFound:
            raise OperatorError(
                "The mail is not in the mailbox any more: it was ingested, or deleted for good."
            ) from None

    @contextmanager
    def _alone(self, ref: MessageRef) -> Iterator[None]:
        """Keep other operators, and retention, from moving the mail between the look at its folder and its move.

        Graph moves a message from any folder: a mail that one operator has just released to the inbox would go to
        Deleted Items with the decision of another one. Raises OperatorError.
        """
        with connect(self._url) as connection:
            row = connection.execute(_ALONE, {"mailbox": ref.mailbox, "message_id": ref.message_id}).fetchone()
            if row is None or not row["alone"]:
                raise OperatorError("Another operator, or retention, is moving this mail: look again.")
            yield

    def _categories(self, ref: MessageRef) -> Sequence[str]:
        try:
            location = self._app.mailboxes.locate(ref)
        except NotFound:
            raise OperatorError("The mail is not in the mailbox any more: it was deleted.") from None
        if location.folder_id != self._app.mailboxes.find_quarantine(ref.mailbox):
            raise OperatorError("The mail is not in Quarantine: it was moved elsewhere.")
        return location.categories

    def _rejected(self, ref: MessageRef) -> Reason | None:
        settings = self._app.settings
        addressing = Addressing(
            pattern=settings.address_pattern, domains=settings.address_domains, route=settings.route
        )
        try:
            with suppress(NotFound, MimeUnavailable), self._app.mailboxes.original(ref, Scope.MAILBOX) as blocks:
                headers, _ = read_header(blocks)
                resolved = routing.resolve(message_of(ref, headers, None), addressing, self._app.tenants)
                routing.choose_tenants(resolved)
        except Rejected as rejected:
            return rejected.reason
        return None
