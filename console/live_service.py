"""The work behind the pages, done: searches, histories, Quarantine through Graph, and the record of every action."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from threading import Lock

from console.batch import Batch, work_through
from console.service import Action, PlatformState, QuarantinedMail, Result, TenantChoice, Undo
from ingest import wiring
from ingest.errors import IngestError, OperatorError
from ingest.model.message_ref import MessageRef, Trigger, is_id
from ingest.settings import QueueAccount
from ingest.storage.blobs import BlobStore
from ingest.storage.queue_lengths import queue_lengths
from ingest.wiring import App
from operations.audit import Account, Audit, AuditEntry
from operations.inspection import Inspection
from operations.mails.history import Histories, MailRecord, PartRecord
from operations.mails.quarantine import Quarantine
from operations.mails.search import FoundMail, Search
from operations.mails.tenant_history import TenantMail, tenant_history
from operations.status import Status, read_status
from operations.tenants.records import Tenants
from operations.tenants.senders import Decision, HeldMail, Sender, SenderList, SenderMode, Senders
from subscriptions.calls import Subscriptions

PLATFORM_SECONDS = 60.0  # that the state of subscriptions and queues is kept
STATUS_SECONDS = 15.0  # that the overview's figures are kept
MAX_CHOICES = 20  # tenants in a list to choose from
SEPARATOR = "|"


class LiveService:
    """A `Service` on one app and one operator's login. Close it when done."""

    def __init__(self, app: App, operator_database_url: str, *, queues: QueueAccount | None = None) -> None:
        """`queues`: the account of the app's queues, None where the settings do not name one."""
        self._queues = queues
        self._app = app
        self._url = operator_database_url
        self._search = Search(operator_database_url)
        self._histories = Histories(operator_database_url)
        self._inspection = Inspection(operator_database_url)
        self._tenants = Tenants(operator_database_url)
        self._senders = Senders(operator_database_url)
        self._audit = Audit(operator_database_url)
        self._quarantine = Quarantine(app, operator_database_url)
        self._status: tuple[float, Status] | None = None
        self._platform_state: tuple[float, PlatformState] | None = None
        self._stores: dict[str, BlobStore] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Close the app's connections."""
        for store in self._stores.values():
            store.close()
        self._app.close()

    def status(self) -> Status:
        """Return the figures, at most STATUS_SECONDS old."""
        with self._lock:
            if self._status is None or self._status[0] < time.monotonic():
                self._status = (time.monotonic() + STATUS_SECONDS, read_status(self._url))
            return self._status[1]

    def platform_state(self) -> PlatformState:
        """Return the state of subscriptions and queues, at most PLATFORM_SECONDS old."""
        with self._lock:
            if self._platform_state is None or self._platform_state[0] < time.monotonic():
                self._platform_state = (time.monotonic() + PLATFORM_SECONDS, self._read_platform_state())
            return self._platform_state[1]

    def _read_platform_state(self) -> PlatformState:
        subscribed: Sequence[datetime] | None = None
        lengths: Mapping[str, int] | None = None
        with suppress(IngestError):
            subscribed = [listed.expires_at for listed in Subscriptions(self._app.graph).list()]
        with suppress(IngestError):
            lengths = queue_lengths(self._queues) if self._queues is not None else None
        return PlatformState(
            subscriptions=None if subscribed is None else len(subscribed),
            subscribed_until=min(subscribed, default=None) if subscribed else None,
            queued=_total(lengths, poison=False),
            poisoned=_total(lengths, poison=True),
        )

    def search(self, text: str, *, limit: int) -> Sequence[FoundMail]:
        """Return the newest mails that the text describes."""
        return self._search.find(text, limit=limit)

    def tenant_history(self, tenant: str, text: str, *, limit: int) -> Sequence[TenantMail]:
        """Return the newest mails of one tenant that the text describes."""
        return tenant_history(self._url, tenant, text, limit=limit)

    def mail(self, number: int) -> MailRecord | None:
        """Return a mail with its copies and rejections."""
        return self._histories.mail(number)

    def parts(self, copy: int) -> Sequence[PartRecord]:
        """Return the parts of a copy."""
        return self._histories.parts(copy)

    def read(self, container: str, name: str) -> Iterator[bytes]:
        """Return a blob's content in blocks."""
        return self._store(container).read(name)

    def quarantined(self, *, limit: int) -> Sequence[QuarantinedMail]:
        """Return the mails in the Quarantine folders, oldest first."""
        found: list[QuarantinedMail] = []
        for mailbox in self._app.settings.mailboxes:
            mails = list(islice(self._quarantine.mails(mailbox), limit - len(found)))
            numbers = self._inspection.numbers(mailbox, [mail.ref.message_id for mail in mails])
            found += [
                QuarantinedMail(
                    key=f"{mailbox}{SEPARATOR}{mail.ref.message_id}",
                    number=numbers.get(mail.ref.message_id),
                    mailbox=mailbox,
                    reason=mail.reason or "none",
                    received_at=mail.received_at,
                    sender=mail.sender,
                    subject=mail.subject,
                )
                for mail in mails
            ]
        return sorted(found, key=lambda mail: mail.received_at)

    def tenants(self, text: str) -> Sequence[TenantChoice]:
        """Return tenants with the text in their name, or with the text as their id, at most MAX_CHOICES."""
        return [
            TenantChoice(id=id_, name=name) for id_, name in self._tenants.matching(text.strip(), limit=MAX_CHOICES)
        ]

    def tenant(self, text: str) -> TenantChoice | None:
        """Return the one tenant that is meant, by id or by full name; None where none or several match."""
        wanted = text.strip()
        exact = [tenant for tenant in self.tenants(wanted) if wanted in {str(tenant.id), tenant.name}]
        return exact[0] if len(exact) == 1 else None

    def act(self, action: Action, keys: Sequence[str], *, tenant: TenantChoice | None, why: str, by: str) -> Result:
        """Do the action for each mail, and record each."""
        account = Account(why=why, remark=by)
        steps: Mapping[Action, Callable[[MessageRef], str | None]] = {
            Action.RELEASE: lambda ref: self._release(ref, account),
            Action.DELETE: lambda ref: self._quarantine.delete(ref, account),
            Action.ASSIGN: lambda ref: self._assign(ref, tenant, account),
        }
        batch = self._work_through(keys, steps[action])
        undo = Undo(action=action, keys=batch.done) if batch.done and action is not Action.ASSIGN else None
        return Result(done=len(batch.done), trouble=batch.trouble, warnings=batch.warnings, undo=undo)

    def undo(self, undo: Undo, *, by: str) -> Result:
        """Bring mails back to Quarantine that were released or deleted a moment ago, and record each."""
        account = Account(why=f"undo of {undo.action}", remark=by)
        batch = self._work_through(undo.keys, lambda ref: self._quarantine.bring_back(ref, account))
        left = Undo(action=undo.action, keys=batch.left) if batch.left else None
        return Result(done=len(batch.done), trouble=batch.trouble, undo=left)

    def _work_through(self, keys: Sequence[str], step: Callable[[MessageRef], str | None]) -> Batch:
        """Work through the mails. A form that names another mail, or a database that is down, stops all of them."""
        refs = {key: self._ref(key) for key in keys}
        names: dict[str, str] = {}
        for mailbox in {ref.mailbox for ref in refs.values()}:
            here = {key: ref.message_id for key, ref in refs.items() if ref.mailbox == mailbox}
            numbers = self._inspection.numbers(mailbox, list(here.values()))
            names |= {key: str(numbers.get(message_id, message_id)) for key, message_id in here.items()}
        return work_through(refs, step, names=names)

    def held(self, *, limit: int) -> Sequence[HeldMail]:
        """Return the mails that wait for an approval, oldest first."""
        return self._senders.held(limit=limit)

    def decide(self, decision: Decision, keys: Sequence[str], *, why: str, by: str) -> Result:
        """Decide on each mail that waits, and record it."""
        done, trouble = 0, dict[str, None]()
        for key in keys:
            tenant, _, copy = key.partition(SEPARATOR)
            if not copy.isascii() or not copy.isdecimal():
                raise OperatorError("The form names no mail that waits.")
            try:
                self._senders.decide_copy(int(copy), tenant, decision, Account(why=why, remark=by))
            except OperatorError as error:
                trouble[str(error)] = None
            else:
                done += 1
        return Result(done=done, trouble=tuple(trouble))

    def senders(self, tenant: TenantChoice, *, limit: int) -> tuple[Sequence[SenderList], Sequence[Sender]]:
        """Return the tenant's lists of allowed senders, and at most `limit` entries."""
        wanted = str(tenant.id)
        return self._senders.lists(wanted), self._senders.all(wanted, limit=limit)

    def allow_senders(self, tenant: TenantChoice, entries: Sequence[str], *, purpose: str, why: str, by: str) -> int:
        """Put entries on a list, record it, and return how many are new."""
        return self._senders.allow(str(tenant.id), entries, Account(why=why, remark=by), purpose=purpose)

    def remove_senders(self, tenant: TenantChoice, keys: Sequence[str], *, why: str, by: str) -> int:
        """Take entries off their lists, record it, and return how many were there."""
        by_purpose: dict[str, list[str]] = {}
        for key in keys:
            purpose, _, entry = key.partition(SEPARATOR)
            by_purpose.setdefault(purpose, []).append(entry)
        account = Account(why=why, remark=by)
        return sum(
            self._senders.remove(str(tenant.id), entries, account, purpose=purpose)
            for purpose, entries in by_purpose.items()
        )

    def set_sender_mode(
        self, tenant: TenantChoice, mode: SenderMode | None, *, purpose: str, why: str, by: str
    ) -> None:
        """Set the mode of a list, and record it."""
        self._senders.set_mode(str(tenant.id), mode, Account(why=why, remark=by), purpose=purpose)

    def note_look(self, who: str, number: int, what: str) -> None:
        """Record that a person looks at content."""
        self._audit.record("content.read", f"message {number}", Account(why=what, remark=who), details={})

    def audit(self, *, limit: int) -> Sequence[AuditEntry]:
        """Return the newest entries."""
        return self._audit.newest(limit=limit)

    def _store(self, container: str) -> BlobStore:
        with self._lock:
            if container not in self._stores:
                self._stores[container] = wiring.blob_store(self._app.settings, container)
            return self._stores[container]

    def _release(self, ref: MessageRef, account: Account) -> str | None:
        rejected = self._quarantine.release(ref, account)
        return None if rejected is None else f"The cause is not mended, the mail will come back ({rejected})."

    def _assign(self, ref: MessageRef, tenant: TenantChoice | None, account: Account) -> None:
        if tenant is None:
            raise OperatorError("Name the tenant to assign the mail to.")
        self._quarantine.assign(ref, str(tenant.id), account)

    def _ref(self, key: str) -> MessageRef:
        mailbox, _, message_id = key.partition(SEPARATOR)
        if mailbox not in self._app.settings.mailboxes or not is_id(message_id):
            raise OperatorError("The form names no mail of these mailboxes.")
        return MessageRef(mailbox=mailbox, message_id=message_id, trigger=Trigger.OPERATOR)


def _total(lengths: Mapping[str, int] | None, *, poison: bool) -> int | None:
    """Return the messages of all queues, or of all poison queues; None where the queues can't be asked."""
    if lengths is None:
        return None
    return sum(count for name, count in lengths.items() if name.endswith("-poison") is poison)
