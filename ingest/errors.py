"""The errors, each a decision: come back later, quarantine with a reason, or a defect of our own.

    IngestError
    ├── Later                     infrastructure: the mail stays in the inbox, the attempt does not count
    │   ├── GraphUnavailable
    │   │   ├── GraphForbidden
    │   │   └── GraphServerError
    │   ├── GraphThrottled
    │   ├── ContentInterrupted
    │   ├── AttachmentPending
    │   ├── BlobUnavailable
    │   ├── QueueUnavailable
    │   ├── DiskUnavailable
    │   ├── ReaderUnavailable
    │   ├── ScannerUnavailable
    │   ├── InDoubt
    │   ├── Overdue
    │   │   └── TooCostly         the one Later that counts: other mails are filed meanwhile
    │   ├── SlowTransfer
    │   ├── DatabaseUnavailable
    │   │   └── ClaimInDoubt      in ingest.model.claim: it carries a claim
    │   └── LeaseLost
    ├── Rejected                  no retry helps this mail: Quarantine, with a reason code
    ├── Defect                    our own fault: counts, and ends in Quarantine after a limit
    │   ├── GraphRefused
    │   ├── BlobConflict
    │   └── BlobMissing
    ├── PartRejected              one part of a mail is recorded as rejected; the other parts are filed
    ├── MimeUnavailable           Exchange gives no MIME of this mail: the mail is read from Graph's own message
    ├── NotFound                  Graph has no such thing any more: normal, acknowledged
    ├── TurnAwaited               in ingest.routing: the mail waits for its tenant's turn
    ├── AnswerRefused             an answer to a sender is never sent
    ├── MalformedRef              a queue message that names no message
    ├── NotANotification          in subscriptions.notifications: a body that holds no event
    ├── NotAResult                in scanning.results: a queue message that holds no result of a malware scan
    ├── BlobProtected             a policy or hold protects a blob from deletion, until a day
    ├── SettingsError             the app can't run as configured
    ├── OperatorError             what an operator asked for can't be done
    └── MigrationError            in operations.schema.migrations: the database can't be migrated

Texts of these exceptions are written here and by the adapters, from names and codes only: never from a
secret, a token, an address or a mail's content, so that they may be logged as they are. An OperatorError may
repeat the operator's own input: only the command line prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ingest.codes import Reason, Rule


class IngestError(Exception):
    """The root of this app's errors."""


class Later(IngestError):
    """Infrastructure trouble. `retry_after`: seconds that the other side asked for, or None."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class GraphUnavailable(Later):
    """Graph or its token endpoint can't be reached, answers 5xx, or refuses us altogether."""


class GraphForbidden(GraphUnavailable):
    """Graph forbids the call (403): a permission or its scope is missing, or does not reach this far."""


class GraphServerError(GraphUnavailable):
    """Graph answered 500 to every attempt of one call."""


class GraphThrottled(Later):
    """Graph's 429 outlasted the retries of one call."""


class ContentInterrupted(Later):
    """A download broke off or came short. Nothing of it counts; the part starts over."""


class AttachmentPending(Later):
    """Microsoft still scans an attachment, and a placeholder stands in its place (Safe Attachments)."""


class BlobUnavailable(Later):
    """Blob Storage can't be reached or refuses us."""


class QueueUnavailable(Later):
    """Queue Storage can't be reached or refuses us."""


class DiskUnavailable(Later):
    """The local disk takes nothing more. Another instance, or this one when it is done with others, has room."""


class Overdue(Later):
    """A message is not filed within its time. Slow infrastructure, or the message itself, may be the cause."""


class TooCostly(Overdue):
    """A message is not filed within its time, while others are: counted, and ends in Quarantine after a limit."""


class SlowTransfer(Later):
    """A message is not filed within its time, and transfers from Graph and to Blob took most of the time."""


class ReaderUnavailable(Later):
    """The process that reads PDFs does not start."""


class ScannerUnavailable(Later):
    """clamd can't be reached, or gives no verdict."""


class InDoubt(Later):
    """A request that must not be made twice broke off: the other side may have carried it out."""


class DatabaseUnavailable(Later):
    """Postgres can't be reached, or ended our connection."""


class LeaseLost(Later):
    """Another owner took the message over while we were slow. Nothing more is written for the message."""


class Rejected(IngestError):
    """The mail can't be ingested as it is. `reason` says why, and is shown to people."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"rejected: {reason}")
        self.reason = reason


class PartRejected(IngestError):
    """One part can't be taken as it is: too deep, too many, too large, unreadable. The mail goes on without it."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"part rejected: {rule}")
        self.rule = rule


class Defect(IngestError):
    """A fault of our own."""


class GraphRefused(Defect):
    """Graph called a request of ours wrong (4xx): `status` and Graph's error `code` say how."""

    def __init__(self, operation: str, status: int, code: str) -> None:
        super().__init__(f"{operation}: Graph answered {status} {code}")
        self.operation = operation
        self.status = status
        self.code = code


class BlobConflict(Defect):
    """A blob of this name holds other content. It is never overwritten."""


class BlobMissing(Defect):
    """A blob that a record names is not there."""


class BlobProtected(IngestError):
    """An immutability policy or a legal hold protects a blob. `until`: its end, None where no end is known."""

    def __init__(self, message: str, *, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class NotFound(IngestError):
    """Graph has no such message, folder or subscription (404): normal, not an error of the app."""


class MimeUnavailable(IngestError):
    """Exchange can't convert or read this message as MIME, on every attempt."""


class AnswerRefused(IngestError):
    """An answer can't be sent, on any attempt."""


class MalformedRef(IngestError):
    """A queue message that names no message."""


class SettingsError(IngestError):
    """Missing or malformed settings, all of them at once in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"The settings are incomplete or wrong (see local.settings.sample.json):{lines}")


class OperatorError(IngestError):
    """An operator's command can't be carried out; the text says why, and what to do."""
