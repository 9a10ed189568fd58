"""The work behind the console's pages, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from console.service import Action, PlatformState, QuarantinedMail, Result, TenantChoice, Undo
from ingest.errors import BlobMissing, OperatorError
from operations.audit import AuditEntry
from operations.inspection import ClaimRecord
from operations.mails.history import Copy, MailRecord, PartRecord, Rejection
from operations.mails.search import FoundMail
from operations.mails.tenant_history import TenantMail
from operations.origin import origin
from operations.status import Examination, Hour, ReasonCount, Status, TenantVolume
from operations.tenants.senders import Decision, HeldMail, Sender, SenderList, SenderMode

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def claim(number: int = 7, **changes: object) -> ClaimRecord:
    values = {
        "number": number,
        "mailbox": "upload@dms.cloud",
        "message_id": "AAkALg1",
        "state": "deleted",
        "trigger": "webhook",
        "reason": None,
        "attempts": 1,
        "crashes": 0,
        "defects": 0,
        "deferrals": 0,
        "copies": 1,
        "last_error": None,
        "assigned_by": None,
        "received_at": NOON,
        "first_seen_at": NOON + timedelta(seconds=2),
        "enqueued_at": None,
        "next_try_at": None,
        "lease_until": None,
        "ended_at": NOON + timedelta(seconds=5),
    }
    return ClaimRecord(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


def copy(number: int = 1, **changes: object) -> Copy:
    values = {
        "id": number,
        "tenant_id": 42,
        "tenant": "Tischlerei Südhang",
        "internet_message_id": "<1@lieferant.example>",
        "subject": "Rechnung RE-2026-1188",
        "sender": "buchhaltung@lieferant.example",
        "trigger": "webhook",
        "received_at": NOON,
        "stored_at": NOON + timedelta(seconds=4),
        "rules_version": 1,
        "container": "documents",
        "blob_name": "42/aa/original.eml",
        "size": 48_213,
        "sha256": "a" * 64,
        "original": "mime",
        "dmarc": "pass",
        "spf": "pass",
        "dkim": "pass",
        "arc": None,
        "compauth": "pass",
        "compauth_reason": "100",
        "sender_authenticated": True,
    }
    return Copy(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


def rejection(**changes: object) -> Rejection:
    values = {
        "tenant_id": 42,
        "tenant": "Tischlerei Südhang",
        "reason": "tenant_inactive",
        "internet_message_id": "<2@lieferant.example>",
        "subject": "Rechnung RE-2026-1189",
        "sender": "buchhaltung@lieferant.example",
        "received_at": NOON,
        "rejected_at": NOON + timedelta(seconds=3),
    }
    return Rejection(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


def part(number: int = 1, **changes: object) -> PartRecord:
    values = {
        "id": number,
        "position": number,
        "parent": None,
        "depth": 0,
        "disposition": "document",
        "reason": "file",
        "name": "RE-2026-1188.pdf",
        "declared_type": "application/pdf",
        "detected_type": "application/pdf",
        "type_mismatch": False,
        "encrypted": False,
        "size": 31_337,
        "sha256": "b" * 64,
        "blob_name": f"42/aa/{number:03d}",
        "document_id": UUID(int=number),
        "content_type": "application/pdf",
        "invoice_kind": None,
        "invoice_number": None,
        "invoice_issue_date": None,
        "invoice_seller": None,
        "invoice_total": None,
        "invoice_currency": None,
        "invoice_problem": None,
        "malware_verdict": None,
        "malware": None,
        "withheld": None,
    }
    return PartRecord(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


def invoice_part(number: int) -> PartRecord:
    return part(
        number,
        name="xrechnung.xml",
        declared_type="application/xml",
        detected_type="text/xml",
        content_type="text/xml",
        invoice_kind="ubl_invoice",
        invoice_number="RE-2026-1188",
        invoice_seller="Lieferant GmbH",
        invoice_total=Decimal("119.00"),
        invoice_currency="EUR",
    )


def held_mail(number: int = 1, **changes: object) -> HeldMail:
    values = {
        "key": number,
        "number": number + 100,
        "tenant_id": 42,
        "tenant": "Tischlerei Südhang",
        "purpose": None,
        "held_reason": "sender_unknown",
        "sender": "neu@lieferant.example",
        "subject": f"Angebot {number}",
        "sender_proven": True,
        "received_at": NOON,
        "stored_at": NOON,
        "documents": 1,
    }
    return HeldMail(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


@dataclass(kw_only=True)
class FakeService:
    """A `Service`. `journal` holds what people did, in order."""

    found: Sequence[FoundMail] = ()
    own: Sequence[TenantMail] = ()
    mails: dict[int, MailRecord] = field(default_factory=dict)
    parts_of: dict[int, list[PartRecord]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    in_quarantine: list[QuarantinedMail] = field(default_factory=list)
    in_waiting_room: list[HeldMail] = field(default_factory=list)
    lists: list[SenderList] = field(default_factory=list)
    allowed: list[Sender] = field(default_factory=list)
    known_tenants: Sequence[TenantChoice] = (TenantChoice(id=42, name="Tischlerei Südhang"),)
    journal: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)  # of the journal's lines
    trouble: Exception | None = None
    platform: PlatformState = field(default_factory=PlatformState)
    examination: Examination | None = None
    result: Result | None = None  # of the next action, in place of full success

    def status(self) -> Status:
        self._may_fail()
        return Status(
            waiting=3,
            tried_again=1,
            failing=0,
            oldest_seconds=90,
            last_notified_at=NOON,
            last_swept_at=None,
            mails=120,
            unannounced=0,
            p50=2.5,
            p99=8.0,
            within_a_minute=1.0,
            hours=tuple(
                Hour(
                    at=NOON - timedelta(hours=hour),
                    stored=(hour * 7) % 23,
                    quarantined=0,
                    p50=1.5 + hour % 3,
                    p99=6.0 + hour % 5,
                )
                for hour in range(47, -1, -1)
            ),
            quarantine=(
                ReasonCount(reason="no_token", mails=3, new=1),
                ReasonCount(reason="unknown_token", mails=5, new=0),
            ),
            held=2,
            last_stored_at=NOON,
            tenants=(
                TenantVolume(tenant_id=42, tenant="Tischlerei Südhang", mails=120, documents=180, bytes=9_300_000),
            ),
            examination=self.examination,
        )

    def platform_state(self) -> PlatformState:
        return self.platform

    def search(self, text: str, *, limit: int) -> Sequence[FoundMail]:
        self._may_fail()
        return [mail for mail in self.found if text.lower() in f"{mail.sender} {mail.subject}".lower()][:limit]

    def tenant_history(self, tenant: str, text: str, *, limit: int) -> Sequence[TenantMail]:  # noqa: ARG002 - every tenant's
        self._may_fail()
        return [mail for mail in self.own if text.lower() in f"{mail.sender} {mail.subject}".lower()][:limit]

    def mail(self, number: int) -> MailRecord | None:
        self._may_fail()
        return self.mails.get(number)

    def parts(self, copy: int) -> Sequence[PartRecord]:
        return self.parts_of.get(copy, [])

    def read(self, container: str, name: str) -> Iterator[bytes]:
        if (container, name) not in {("documents", known) for known in self.blobs}:
            raise BlobMissing(f"there is no blob {name}")
        yield self.blobs[name]

    def quarantined(self, *, limit: int) -> Sequence[QuarantinedMail]:
        self._may_fail()
        return self.in_quarantine[:limit]

    def tenants(self, text: str) -> Sequence[TenantChoice]:
        return [tenant for tenant in self.known_tenants if text.lower() in (tenant.name or "").lower()]

    def tenant(self, text: str) -> TenantChoice | None:
        found = [tenant for tenant in self.known_tenants if text in {str(tenant.id), tenant.name}]
        return found[0] if len(found) == 1 else None

    def act(self, action: Action, keys: Sequence[str], *, tenant: TenantChoice | None, why: str, by: str) -> Result:
        self._note(f"{by}: {action} {' '.join(keys)}{f' to {tenant.id}' if tenant else ''}: {why}")
        self.in_quarantine = [mail for mail in self.in_quarantine if mail.key not in keys]
        return self.result or Result(done=len(keys), undo=Undo(action=action, keys=tuple(keys)))

    def undo(self, undo: Undo, *, by: str) -> Result:
        self._note(f"{by}: undo {undo.to_text()}")
        return self.result or Result(done=len(undo.keys))

    def held(self, *, limit: int) -> Sequence[HeldMail]:
        self._may_fail()
        return self.in_waiting_room[:limit]

    def decide(self, decision: Decision, keys: Sequence[str], *, why: str, by: str) -> Result:
        self._note(f"{by}: {decision} {' '.join(keys)}: {why}")
        self.in_waiting_room = [mail for mail in self.in_waiting_room if f"{mail.tenant_id}|{mail.key}" not in keys]
        return Result(done=len(keys))

    def senders(self, tenant: TenantChoice, *, limit: int) -> tuple[Sequence[SenderList], Sequence[Sender]]:
        known = tenant in self.known_tenants
        return (self.lists, self.allowed[:limit]) if known else ((), ())

    def allow_senders(self, tenant: TenantChoice, entries: Sequence[str], *, purpose: str, why: str, by: str) -> int:
        if "wrong" in entries:
            raise OperatorError("'wrong' is neither a mail address nor a domain.")
        self._note(f"{by}: allow {' '.join(entries)} for {tenant.id} {purpose or '-'}: {why}")
        return len(entries)

    def remove_senders(self, tenant: TenantChoice, keys: Sequence[str], *, why: str, by: str) -> int:
        self._note(f"{by}: remove {' '.join(keys)} for {tenant.id}: {why}")
        return len(keys)

    def set_sender_mode(
        self, tenant: TenantChoice, mode: SenderMode | None, *, purpose: str, why: str, by: str
    ) -> None:
        self._note(f"{by}: mode {mode} for {tenant.id} {purpose or '-'}: {why}")

    def note_look(self, who: str, number: int, what: str) -> None:
        self._note(f"{who}: looks at {number}: {what}")

    def audit(self, *, limit: int) -> Sequence[AuditEntry]:
        return [
            AuditEntry(
                number=number,
                at=NOON,
                login="dms_operator",
                action="message.release",
                subject=line,
                details=json.dumps({"from": place}),
                why="because",
                remark=line.partition(":")[0],
                previous="",
                hash="",
            )
            for number, (line, place) in enumerate(zip(self.journal, self.origins, strict=True), start=1)
            if number <= limit
        ]

    def _note(self, line: str) -> None:
        self.journal.append(line)
        self.origins.append(origin())

    def _may_fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble
