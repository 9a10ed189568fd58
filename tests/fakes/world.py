"""A pipeline between fakes: mailboxes, blobs and records in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ingest.codes import Reason
from ingest.model.message_ref import MessageRef
from ingest.model.outcome import Quarantined
from ingest.model.tenant import Tenant
from ingest.pipeline import Pipeline
from ingest.routing import Addressing
from ingest.settings import DEFAULT_ADDRESS_PATTERN, RouteMode
from tests.fakes.blobs import FakeBlobs
from tests.fakes.journal import Journal
from tests.fakes.mail import FakeMail
from tests.fakes.records import FakeRecords, Saved
from tests.fakes.values import OTHER_TOKEN, TOKEN

FIRST, SECOND, OFF = Tenant(id=1), Tenant(id=2), Tenant(id=3)
OFF_TOKEN = "0f" * 16
TENANTS = {TOKEN: (FIRST, True), OTHER_TOKEN: (SECOND, True), OFF_TOKEN: (OFF, False)}


@dataclass
class World:
    """A pipeline with everything around it."""

    route: RouteMode = RouteMode.FIRST
    pattern: str = DEFAULT_ADDRESS_PATTERN
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.mail = FakeMail(self.journal)
        self.blobs = FakeBlobs(self.journal)
        self.records = FakeRecords(tenants=TENANTS, journal=self.journal)
        self.pipeline = self.restarted()

    def restarted(self) -> Pipeline:
        """A new process's pipeline over the same world."""
        addressing = Addressing(pattern=re.compile(self.pattern, re.IGNORECASE), route=self.route)
        self.pipeline = Pipeline(
            mail=self.mail,
            blobs=self.blobs,
            claims=self.records,
            tenants=self.records,
            copies=self.records,
            turns=self.records,
            rejections=self.records,
            addressing=addressing,
        )
        return self.pipeline

    def saved(self, ref: MessageRef, tenant: Tenant = FIRST) -> Saved:
        return self.records.saved[tenant, ref.mailbox, ref.message_id]

    def quarantined(self, ref: MessageRef, reason: Reason) -> None:
        assert self.pipeline.ingest_message(ref) == Quarantined(reason=reason)
        assert self.mail.folder(ref) == "Quarantine"
        assert self.mail.categories(ref) == (reason,)
        assert (self.records.row(ref).state, self.records.row(ref).reason) == ("quarantined", reason)
        assert self.records.saved == {}


def address(token: str) -> str:
    return f"upload.{token}@dms.example"
