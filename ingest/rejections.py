"""The record of a mail that goes to Quarantine: for each tenant that the mail names, else for no tenant."""

from __future__ import annotations

from ingest import log, routing
from ingest.claims import log_fields
from ingest.codes import Reason
from ingest.errors import Defect, Later, NotFound, Rejected
from ingest.model.claim import Claim
from ingest.model.message import Message
from ingest.model.tenant import Tenant
from ingest.ports import Mail, Tenants
from ingest.ports import Rejections as Records
from ingest.routing import Addressing


class Rejections:
    """The rejections of this app. A normally stored mail costs nothing here."""

    def __init__(self, mail: Mail, tenants: Tenants, records: Records, addressing: Addressing) -> None:
        self._mail = mail
        self._tenants = tenants
        self._records = records
        self._addressing = addressing

    def note(self, claim: Claim, reason: Reason, message: Message | None, assigned: Tenant | None) -> None:
        """Record sender and subject of a message with the reason.

        `message`: as the header says, None where this attempt read no header; then Graph is asked for the few fields.
        `assigned`: the tenant that an operator chose. Raises DatabaseUnavailable; a fault of Graph leaves no record.
        """
        message = message or self._described(claim)
        if message is None:
            return
        tenants = (assigned,) if assigned else self._attributed(message)
        for tenant in tenants:
            with self._tenants.tenant_context(tenant):
                self._records.reject(claim, reason, message)
        if not tenants:
            self._records.reject_unattributed(claim, reason, message)

    def _attributed(self, message: Message) -> tuple[Tenant, ...]:
        return routing.attributed(routing.resolve(message, self._addressing, self._tenants))

    def _described(self, claim: Claim) -> Message | None:
        try:
            return self._mail.describe(claim.ref)
        except (Later, Defect, NotFound, Rejected) as error:
            # The same fault may be the reason for giving the message up.
            log.warning("message.not_described", **log_fields(claim), cause=log.describe(error))
            return None
