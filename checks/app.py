"""The checks of everything that the app needs and can see for itself. They change nothing of a mailbox."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from checks.examination import Check, CheckContext, Trouble
from ingest import wiring
from ingest.errors import GraphForbidden, GraphRefused, GraphUnavailable, NotFound
from ingest.graph.deleted import DeletedItems, read_deleted_items
from ingest.queues import BACKLOG, EVENTS, MESSAGES
from ingest.settings import JunkMode, QueueAccount, Scanner, SweepScope
from ingest.storage import database
from ingest.storage.queue_lengths import queue_lengths
from ingest.storage.scans import Scans
from scanning.clamd import Clamd
from subscriptions.calls import Subscriptions
from subscriptions.plan import Create, Delete, Renew, steps, wanted_by

# Graph's codes for an address that no mailbox has. For one of the app's own mailboxes that is a fault of the settings:
# the client takes these for trouble of the infrastructure.
_NO_SUCH_MAILBOX = (
    "ErrorInvalidUser",
    "ErrorNonExistentMailbox",
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "Request_ResourceNotFound",
)
LATE_SCAN_SECONDS = 3600.0  # Defender's event comes within minutes, and the blob's tag is looked at after fifteen
_GB = 1_000_000_000
# The least that a mailbox of Exchange Online holds; with a larger licence the warning comes early.
# https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
MAILBOX_BYTES = 50 * _GB
_FULL = 0.7  # of the mailbox: time to act
_DAYS_LEFT = 14  # until the mailbox is full, at the rate of the last week
_HANDSHAKE_SECONDS = 10  # as long as Graph waits
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_TOKEN_ADVICE = {
    # MSAL's answer where Entra has no configuration for the tenant.
    "ValueError": "Set AZURE_INGEST_TENANT_ID to the Entra tenant of the mailbox; is AZURE_AUTHORITY_HOST Entra's?",
    "AADSTS90002": "Set AZURE_INGEST_TENANT_ID to the Entra tenant of the mailbox: Entra knows no such tenant.",
    "AADSTS900023": "Set AZURE_INGEST_TENANT_ID to the Entra tenant of the mailbox: Entra knows no such tenant.",
    "AADSTS700016": "Set AZURE_INGEST_CLIENT_ID: this tenant has no such application.",
    "AADSTS7000215": "Set AZURE_INGEST_CLIENT_SECRET to the secret's value, not to its id.",
    "AADSTS7000222": "The client secret has expired: make a new one, and set AZURE_INGEST_CLIENT_SECRET.",
    "AADSTS700027": "Register the certificate of AZURE_INGEST_CLIENT_CERTIFICATE with the application.",
    "AZURE_INGEST_CLIENT_CERTIFICATE": "Set it to the path of a PEM file with the key and the certificate.",
    # 700211, 700212 and 700213: no federated credential has the issuer, the audience or the subject.
    "AADSTS70021": "Give the app registration a federated credential for the managed identity (docs/deploy.md).",
    "AADSTS": "Look the AADSTS code up; usually the secret has expired, or an id is another app's.",
}


def _settings(context: CheckContext) -> str:
    settings = context.settings
    return f"complete; mailboxes: {', '.join(settings.mailboxes)}"


def _database(context: CheckContext) -> str:
    database.probe(context.settings.database_url)
    return "reached, and the login is accepted"


def _token(context: CheckContext) -> str:
    try:
        wiring.credentials(context.settings).token()
    except GraphUnavailable as refused:
        advice = next((words for code, words in _TOKEN_ADVICE.items() if code in str(refused)), None)
        raise Trouble(str(refused), advice=advice) from None
    return f"the app signs in to {context.settings.authority_host}"


def _mailbox_access(context: CheckContext) -> str:
    said = []
    for mailbox in context.settings.mailboxes:
        try:
            count = context.app.mailboxes.count_inbox(mailbox)
        except GraphForbidden:
            raise Trouble(f"Graph answers 403 for {mailbox}: the app has no permission") from None
        except (NotFound, GraphRefused, GraphUnavailable) as refused:
            if not any(code in str(refused) for code in _NO_SUCH_MAILBOX):
                advice = "Can this machine reach GRAPH_BASE_URL by HTTPS: DNS, proxy, firewall, certificates?"
                raise Trouble(str(refused), advice=advice) from None
            advice = "Check AZURE_INGEST_MAILBOX for a typo, and AZURE_INGEST_TENANT_ID: is it the mailbox's tenant?"
            raise Trouble(f"there is no mailbox {mailbox}", advice=advice) from None
        said.append(f"{mailbox}: {count.total} in the inbox, {count.unread} unread")
    return "; ".join(said)


def _other_mailboxes(context: CheckContext) -> str:
    roles = _roles(wiring.credentials(context.settings).token())
    tenant_wide = sorted(role for role in roles if role.startswith("Mail."))
    if tenant_wide:
        raise Trouble(f"the token carries {', '.join(tenant_wide)} for every mailbox of the organisation")
    other = context.other_mailbox
    if other is None:
        raise Trouble("not tried: name a mailbox that the app must not reach, with --other-mailbox", warning=True)
    try:
        context.app.mailboxes.count_inbox(other)
    except GraphForbidden:
        return f"{other} is refused, as it should be"
    except (NotFound, GraphRefused):
        raise Trouble(f"there is no mailbox {other}: name one that exists", warning=True) from None
    except GraphUnavailable as refused:
        if not any(code in str(refused) for code in _NO_SUCH_MAILBOX):
            raise
        raise Trouble(f"there is no mailbox {other}: name one that exists", warning=True) from None
    raise Trouble(f"the app can read {other}")


def _roles(token: str) -> Sequence[str]:
    """Return the application permissions in a token; none where the token is not readable, as it is meant for Graph."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return [str(role) for role in claims.get("roles", ())]
    except (ValueError, IndexError, AttributeError, TypeError):
        return ()


def _quarantine(context: CheckContext) -> str:
    name, now, said = context.settings.quarantine_folder, datetime.now(UTC), []
    for mailbox in context.settings.mailboxes:
        if context.app.mailboxes.find_quarantine(mailbox) is None:
            said.append(f"{mailbox}: {name} is made with the first mail for it")
            continue
        count = context.app.mailboxes.count_quarantine(mailbox)
        oldest = next(context.app.mailboxes.quarantined(mailbox), None)
        age = f", the oldest of {(now - oldest.received_at).days} days" if oldest else ""
        said.append(f"{mailbox}: {count} in {name}{age}")
    return "; ".join(said)


def _junk(context: CheckContext) -> str:
    if context.settings.sweep_junk is JunkMode.ALWAYS:
        return "swept as well (INGEST_SWEEP_JUNK=always)"
    counts = {mailbox: context.app.mailboxes.count_junk(mailbox) for mailbox in context.settings.mailboxes}
    if any(counts.values()):
        named = ", ".join(f"{count} in {mailbox}" for mailbox, count in counts.items() if count)
        raise Trouble(f"mails in Junk Email, which the app never reads: {named}", warning=True)
    return "empty"


def _deleted(context: CheckContext) -> str:
    now = datetime.now(UTC)
    fills = {
        mailbox: fill_of(read_deleted_items(context.app.graph, mailbox, now=now), now)
        for mailbox in context.settings.mailboxes
    }
    said = "; ".join(f"{mailbox}: {words}" for mailbox, (words, _) in fills.items())
    if any(full for _, full in fills.values()):
        raise Trouble(f"Deleted Items fill the mailbox, and a full mailbox takes no mail: {said}", warning=True)
    return said


def fill_of(found: DeletedItems, now: datetime) -> tuple[str, bool]:
    """Return the state of Deleted Items in words, and whether they fill the mailbox soon."""
    if found.oldest is None:
        return "empty", False
    size = "an unknown size" if found.size is None else f"{found.size / _GB:.1f} of {MAILBOX_BYTES / _GB:.0f} GB"
    left = MAILBOX_BYTES - (found.size or 0)
    full = left < MAILBOX_BYTES * (1 - _FULL) or left < found.bytes_a_day * _DAYS_LEFT
    return (
        f"{found.mails} mails, {size}, the oldest of {(now - found.oldest).days} days, "
        f"{found.bytes_a_day / _GB:.2f} GB a day in the last week"
    ), full


def _subscription(context: CheckContext) -> str:
    settings, now = context.settings, datetime.now(UTC)
    listed = Subscriptions(context.app.graph).list()
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
        raise Trouble("; ".join(wrong))
    return f"one for each of {len(settings.mailboxes)} mailbox(es), none due"


def _handshake(context: CheckContext) -> str:
    """Shake hands with the notification URL as Graph does before it makes a subscription.

    https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation
    """
    token = f"doctor & <{secrets.token_hex(8)}>"
    for endpoint in ("notifications", "lifecycle"):
        url = f"{context.settings.notification_url}/api/graph/{endpoint}?validationToken={quote(token, safe='')}"
        request = urllib.request.Request(url, data=b"", method="POST")  # noqa: S310 - http(s), by Settings
        try:
            with urllib.request.urlopen(request, timeout=_HANDSHAKE_SECONDS) as answer:  # noqa: S310 - likewise
                body, kind = answer.read(len(token) + 100), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                raise Trouble(f"{endpoint}: answered {error.code}") from None
        except OSError as error:
            raise Trouble(f"{endpoint}: not reached ({type(error).__name__})") from None
        if body != token.encode() or kind != "text/plain":
            raise Trouble(f"{endpoint}: something else answers than this app")
    return f"{context.settings.notification_url} shakes hands"


def _queue(context: CheckContext) -> str:
    counts = queue_lengths(QueueAccount.from_env(context.environ))
    poisoned = {name: count for name, count in counts.items() if name.endswith("-poison") and count}
    if poisoned:
        named = ", ".join(f"{count} in {name}" for name, count in poisoned.items())
        raise Trouble(f"poisoned messages wait for a running app: {named}", warning=True)
    return (
        ", ".join(f"{name}: {counts[name]}" for name in (MESSAGES, BACKLOG, EVENTS) if name in counts)
        or "reached; no queue made yet"
    )


def _container(context: CheckContext) -> str:
    name = context.settings.container
    if not context.app.blobs.has_container():
        raise Trouble(f"there is no container {name} in the account: every mail waits")
    return f"{name} is there"


def _failing(context: CheckContext) -> str:
    unfinished = context.app.backlog.unfinished()
    if unfinished.failing:
        raise Trouble(f"{unfinished.failing} were tried in vain for more than a day", warning=True)
    return f"none; {unfinished.mails} mails are not done"


def _removed_mailboxes(context: CheckContext) -> str:
    left = context.app.backlog.left(context.settings.mailboxes)
    if left:
        named = ", ".join(f"{count} in {mailbox}" for mailbox, count in left.items())
        raise Trouble(f"mails are not done in mailboxes that are not in AZURE_INGEST_MAILBOX: {named}", warning=True)
    return "none with a mail that is not done"


def _malware_scan(context: CheckContext) -> str:
    settings, state = context.settings, Scans(context.app.database).state()
    if state.unexpected and settings.scanner is not Scanner.DEFENDER:
        raise Trouble(
            f"{state.unexpected} results of Defender for Storage came within a week, and INGEST_SCANNER is "
            f"{settings.scanner}",
            advice="Set INGEST_SCANNER=defender, or switch malware scanning off at the storage account.",
        )
    if settings.scanner is Scanner.OFF:
        if state.waiting:
            raise Trouble(f"off; {state.waiting} documents of before wait for a verdict", warning=True)
        return "off"
    version = Clamd(settings.clamd).ping() if settings.clamd and settings.scanner is Scanner.CLAMAV else "on"
    if state.oldest_seconds > LATE_SCAN_SECONDS:
        hours = state.oldest_seconds / 3600
        raise Trouble(f"{state.waiting} documents wait for a verdict, the oldest for {hours:.0f} h", warning=True)
    return f"{settings.scanner}, {version}; {state.waiting} documents wait for a verdict"


def _read_mails(context: CheckContext) -> str:
    if context.settings.sweep_scope is SweepScope.ALL:
        return "swept as well (INGEST_SWEEP_SCOPE=all)"
    counts = {mailbox: context.app.mailboxes.count_inbox(mailbox) for mailbox in context.settings.mailboxes}
    read = {mailbox: count.total - count.unread for mailbox, count in counts.items() if count.total > count.unread}
    if read:
        named = ", ".join(f"{count} in {mailbox}" for mailbox, count in read.items())
        raise Trouble(f"mails in the inbox were read by a person, and no sweep takes them: {named}", warning=True)
    return "none"


CHECKS: tuple[Check, ...] = (
    Check(
        name="settings",
        look=_settings,
        advice="Set what is named, as in local.settings.sample.json.",
        needs=(),
    ),
    # Before the mailboxes: each request to one needs a place at the gate, and the gate is in Postgres.
    Check(
        name="database",
        look=_database,
        advice="Check INGEST_DATABASE_URL: host, port, user, password, database, sslmode; is the server up?",
    ),
    Check(
        name="token",
        look=_token,
        advice="Can this machine reach AZURE_AUTHORITY_HOST by HTTPS: DNS, proxy, firewall, certificates?",
    ),
    Check(
        name="mailbox access",
        look=_mailbox_access,
        advice="Give the app Application Mail.ReadWrite on the mailbox (docs/operations.md), and wait up to 2 hours.",
        needs=("settings", "database", "token"),
    ),
    Check(
        name="other mailboxes",
        look=_other_mailboxes,
        advice="Limit the app by RBAC for Applications, and remove Mail permissions in Entra (docs/operations.md).",
        needs=("settings", "database", "token"),
    ),
    Check(
        name="quarantine folder",
        look=_quarantine,
        advice="See mailbox access.",
        needs=("settings", "token", "mailbox access"),
    ),
    Check(
        name="junk email",
        look=_junk,
        advice="Move what is business to the inbox; let Exchange skip the filter by SCL -1, or set INGEST_SWEEP_JUNK "
        "(docs/operations.md).",
        needs=("settings", "token", "mailbox access"),
    ),
    Check(
        name="deleted items",
        look=_deleted,
        advice="Give Deleted Items a retention policy (docs/operations.md, Retention of deleted mails).",
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
        advice="Check INGEST_STORAGE and INGEST_CONTAINER; by identity: role Storage Blob Data Contributor. Only "
        "a deployment makes a container (infra/), or: az storage container create.",
    ),
    Check(
        name="failing mails",
        look=_failing,
        advice="See last_error in: python -m ingest messages list --state waiting (docs/operations.md).",
        needs=("settings", "database"),
    ),
    Check(
        name="removed mailboxes",
        look=_removed_mailboxes,
        advice="Set the mailbox in AZURE_INGEST_MAILBOX again until its mails are done. Where the mailbox is gone for "
        "good: retention ends such a mail after 30 days without an attempt (docs/operations.md).",
        needs=("settings", "database"),
    ),
    Check(
        name="malware scan",
        look=_malware_scan,
        advice="Is the scanner up, do its results reach the queue scan-results, and does the timer 'scan' run "
        "(docs/malware.md)?",
        needs=("settings", "database"),
    ),
    Check(
        name="read mails",
        look=_read_mails,
        advice="Mark them unread in Outlook, or run: INGEST_SWEEP_SCOPE=all python -m ingest sweep",
        needs=("settings", "token", "mailbox access"),
    ),
)
