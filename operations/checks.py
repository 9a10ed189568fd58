"""What `doctor` looks at, in the order in which things depend on each other, and what to do where it fails."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ingest import log, wiring
from ingest.errors import GraphForbidden, IngestError, NotFound
from ingest.queues import BACKLOG, EVENTS, MESSAGES
from ingest.settings import QueueAccount, Settings, SweepScope
from ingest.storage.queue_lengths import queue_lengths
from ingest.wiring import App
from operations import migrations
from operations.inspection import Inspection
from subscriptions.calls import Subscriptions
from subscriptions.plan import Create, Delete, Renew, steps, wanted_by

_HANDSHAKE_SECONDS = 10  # as long as Graph waits


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. `advice` says what to do, where there is something to do."""

    check: str
    status: Status
    said: str
    advice: str | None = None


class _Trouble(IngestError):
    """A check found something. `warning`: the app works all the same."""

    def __init__(self, said: str, *, warning: bool = False) -> None:
        super().__init__(said)
        self.warning = warning


@dataclass(kw_only=True)
class Patient:
    """What is looked at: this environment, and what has been built from it."""

    environ: Mapping[str, str]
    other_mailbox: str | None = None
    _opened: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return Settings.from_env(self.environ)

    @cached_property
    def app(self) -> App:
        """Closed with the patient. Raises SettingsError."""
        app = wiring.build(self.settings)
        self._opened.callback(app.close)
        return app

    @property
    def inspection(self) -> Inspection:
        """The database, as the app sees it."""
        return Inspection(self.settings.database_url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check: `look` says what it found, or raises IngestError. `needs`: checks that must not have failed."""

    name: str
    look: Callable[[Patient], str]
    advice: str
    needs: Sequence[str] = ("settings",)


def examine(patient: Patient) -> Iterator[Finding]:
    """Every check's finding, as it is made."""
    unwell: set[str] = set()
    for check in CHECKS:
        finding = _finding(check, patient, unwell)
        if finding.status in {Status.FAILED, Status.SKIPPED}:
            unwell.add(check.name)
        yield finding


def _finding(check: Check, patient: Patient, unwell: set[str]) -> Finding:
    missing = [name for name in check.needs if name in unwell]
    if missing:
        return Finding(check=check.name, status=Status.SKIPPED, said=f"needs: {', '.join(missing)}")
    try:
        said = check.look(patient)
    except _Trouble as trouble:
        status = Status.WARNING if trouble.warning else Status.FAILED
        return Finding(check=check.name, status=status, said=str(trouble), advice=check.advice)
    except IngestError as error:
        return Finding(check=check.name, status=Status.FAILED, said=str(error), advice=check.advice)
    except Exception as error:  # noqa: BLE001 - the other checks are wanted all the same
        return Finding(check=check.name, status=Status.FAILED, said=log.frames(error), advice=check.advice)
    return Finding(check=check.name, status=Status.OK, said=said)


def _settings(patient: Patient) -> str:
    settings = patient.settings
    return f"complete; mailboxes: {', '.join(settings.mailboxes)}"


def _token(patient: Patient) -> str:
    wiring.credentials(patient.settings).token()
    return f"the app signs in to {patient.settings.authority_host}"


def _mailbox_access(patient: Patient) -> str:
    counts = [(mailbox, patient.app.mailboxes.count_inbox(mailbox)) for mailbox in patient.settings.mailboxes]
    return "; ".join(f"{mailbox}: {count.total} in the inbox, {count.unread} unread" for mailbox, count in counts)


def _other_mailboxes(patient: Patient) -> str:
    roles = _roles(wiring.credentials(patient.settings).token())
    tenant_wide = sorted(role for role in roles if role.startswith("Mail."))
    if tenant_wide:
        raise _Trouble(f"the token carries {', '.join(tenant_wide)} for every mailbox of the organisation")
    other = patient.other_mailbox
    if other is None:
        raise _Trouble("not tried: name a mailbox that the app must not reach, with --other-mailbox", warning=True)
    try:
        patient.app.mailboxes.count_inbox(other)
    except GraphForbidden:
        return f"{other} is refused, as it should be"
    except NotFound:
        raise _Trouble(f"there is no mailbox {other}: name one that exists", warning=True) from None
    raise _Trouble(f"the app can read {other}")


def _roles(token: str) -> Sequence[str]:
    """The application permissions in a token; none where it can't be read: it is meant for Graph, not for us."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return [str(role) for role in claims.get("roles", ())]
    except (ValueError, IndexError, AttributeError, TypeError):
        return ()


def _quarantine(patient: Patient) -> str:
    name = patient.settings.quarantine_folder
    missing = [one for one in patient.settings.mailboxes if patient.app.mailboxes.find_quarantine(one) is None]
    return f"{name} is made with the first mail for it in {', '.join(missing)}" if missing else f"{name} is there"


def _subscription(patient: Patient) -> str:
    settings, now = patient.settings, datetime.now(UTC)
    listed = Subscriptions(patient.app.graph).list()
    wrong: list[str] = []
    for mailbox in settings.mailboxes:
        for step in steps(now, listed, wanted_by(settings, mailbox)):
            match step:
                case Create():
                    wrong.append(f"{mailbox} has none that is alive and right")
                case Delete(subscription_id=one):
                    wrong.append(f"{mailbox} has one that is wrong or too many: {one}")
                case Renew():
                    wrong.append(f"{mailbox}'s is due to be renewed: does the timer 'maintain' run?")
    if wrong:
        raise _Trouble("; ".join(wrong))
    return f"one for each of {len(settings.mailboxes)} mailbox(es), none due"


def _handshake(patient: Patient) -> str:
    """What Graph does before it makes a subscription.

    https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation
    """
    token = f"doctor & <{secrets.token_hex(8)}>"
    for door in ("notifications", "lifecycle"):
        url = f"{patient.settings.notification_url}/api/graph/{door}?validationToken={quote(token, safe='')}"
        request = urllib.request.Request(url, data=b"", method="POST")  # noqa: S310 - http(s), by Settings
        try:
            with urllib.request.urlopen(request, timeout=_HANDSHAKE_SECONDS) as answer:  # noqa: S310 - likewise
                body, kind = answer.read(len(token) + 100), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                raise _Trouble(f"{door}: answered {error.code}") from None
        except OSError as error:
            raise _Trouble(f"{door}: not reached ({type(error).__name__})") from None
        if body != token.encode() or kind != "text/plain":
            raise _Trouble(f"{door}: something else answers than this app")
    return f"{patient.settings.notification_url} shakes hands"


def _queue(patient: Patient) -> str:
    counts = queue_lengths(QueueAccount.from_env(patient.environ))
    poisoned = {name: count for name, count in counts.items() if name.endswith("-poison") and count}
    if poisoned:
        told = ", ".join(f"{count} in {name}" for name, count in poisoned.items())
        raise _Trouble(f"poisoned messages wait for a running app: {told}", warning=True)
    return (
        ", ".join(f"{name}: {counts[name]}" for name in (MESSAGES, BACKLOG, EVENTS) if name in counts)
        or "reached; no queue made yet"
    )


def _container(patient: Patient) -> str:
    patient.app.blobs.ensure_container()
    return f"{patient.settings.container} is there"


def _database(patient: Patient) -> str:
    current, known = patient.inspection.schema_version(), migrations.names()
    if current is None:
        raise _Trouble("no migration is applied")
    if current not in known:
        raise _Trouble(f"the database is at {current}: it was migrated by a newer version")
    missing = known[known.index(current) + 1 :]
    if missing:
        raise _Trouble(f"the database is at {current}; missing: {', '.join(missing)}")
    if patient.inspection.has_mail_accounts():
        raise _Trouble("ready; the DMS's old mail accounts are still there, until it has switched", warning=True)
    return f"at {current}"


def _role(patient: Patient) -> str:
    powers = patient.inspection.excess_powers()
    if powers:
        raise _Trouble(f"the role in INGEST_DATABASE_URL {'; '.join(powers)}")
    return "has what ingest_app has, and nothing else"


def _read_mails(patient: Patient) -> str:
    if patient.settings.sweep_scope is SweepScope.ALL:
        return "swept as well (INGEST_SWEEP_SCOPE=all)"
    counts = {mailbox: patient.app.mailboxes.count_inbox(mailbox) for mailbox in patient.settings.mailboxes}
    read = {mailbox: count.total - count.unread for mailbox, count in counts.items() if count.total > count.unread}
    if read:
        told = ", ".join(f"{count} in {mailbox}" for mailbox, count in read.items())
        raise _Trouble(
            f"somebody has read mails that are still in the inbox, which no sweep takes: {told}", warning=True
        )
    return "none"


CHECKS: tuple[Check, ...] = (
    Check(
        name="settings",
        look=_settings,
        advice="Set what is named, as in local.settings.sample.json.",
        needs=(),
    ),
    Check(
        name="token",
        look=_token,
        advice="Look the AADSTS code up; usually the secret has expired, or an id is another app's.",
    ),
    Check(
        name="mailbox access",
        look=_mailbox_access,
        advice="Give the app Application Mail.ReadWrite on the mailbox (docs/operations.md), and wait up to 2 hours.",
        needs=("settings", "token"),
    ),
    Check(
        name="other mailboxes",
        look=_other_mailboxes,
        advice="Limit the app by RBAC for Applications, and remove Mail permissions in Entra (docs/operations.md).",
        needs=("settings", "token"),
    ),
    Check(
        name="quarantine folder",
        look=_quarantine,
        advice="See mailbox access.",
        needs=("settings", "token", "mailbox access"),
    ),
    Check(
        name="subscription",
        look=_subscription,
        advice="Run: python -m ingest subscriptions renew, with the app running.",
        needs=("settings", "token"),
    ),
    Check(
        name="notification URL",
        look=_handshake,
        advice="Is the app deployed and started, INGEST_NOTIFICATION_URL its public address, and nothing in between?",
    ),
    Check(
        name="queue",
        look=_queue,
        advice="Set AzureWebJobsStorage as the Function App has it; by identity: role Storage Queue Data Contributor.",
    ),
    Check(
        name="container",
        look=_container,
        advice="Check INGEST_STORAGE; by identity: role Storage Blob Data Contributor.",
    ),
    Check(
        name="database version",
        look=_database,
        advice="Run: python -m ingest migrate, as the owner; or deploy the version that the database is for.",
    ),
    Check(
        name="database role",
        look=_role,
        advice="Use a login that is a member of ingest_app and of nothing else (docs/operations.md).",
    ),
    Check(
        name="read mails",
        look=_read_mails,
        advice="Mark them unread in Outlook, or run: INGEST_SWEEP_SCOPE=all python -m ingest sweep",
        needs=("settings", "token", "mailbox access"),
    ),
)
