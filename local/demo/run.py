"""`make demo`: a dozen mails through the whole system, and the proof of where each of them ended."""

import hashlib
import smtplib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from local.demo.console import running_console
from local.demo.evidence import ClaimRow, Evidence, StoredMessage, evidence
from local.demo.mails import DemoMail, Kept, Quarantined, Stored, demo_mails
from local.demo.samples import scan_pdf
from local.graph.admin.client import MessageState
from local.stack import TIMERS_OFF, Stack, empty
from local.tenants import DEMO_TENANTS, LocalTenant
from local.terminal import console, step

QUARANTINE = "Quarantine"
_DELETED = ("deleted", "permanentlyDeleted")
_PATIENCE = 120.0  # seconds until a mail that is still in the inbox counts as stuck


@dataclass(kw_only=True)
class Journey:
    """One mail on its way. Times are those of the monotonic clock."""

    mail: DemoMail
    sent_at: float | None = None
    ended_at: float | None = None
    state: MessageState | None = None

    def take_note(self, state: MessageState | None) -> bool:
        """Remember where the mail is now; whether that is one of its possible ends."""
        self.state = state
        if self.ended_at is None and state is not None and state.folder in (*_DELETED, QUARANTINE):
            self.ended_at = time.monotonic()
        return self.ended_at is not None

    @property
    def milliseconds(self) -> float | None:
        """From the moment in which the SMTP server had taken it until its end."""
        if self.sent_at is None or self.ended_at is None:
            return None
        return 1000 * max(0.0, self.ended_at - self.sent_at)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The findings about one mail; `problems` is empty where the mail ended as expected."""

    journey: Journey
    claim: ClaimRow | None
    copies: Sequence[StoredMessage]
    problems: Sequence[str] = field(default=())


def run_demo(data: Path) -> int:
    """Run the demo in the directory `data`, which is emptied first; the exit code, 0 if all went right."""
    empty(data)
    console.print("Starting the local stack")
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.submit(scan_pdf)  # takes a while, and is kept for when the mails are made
        with Stack(data, settings=TIMERS_OFF, step=step) as stack:
            tenants = [stack.add_tenant(name) for name in DEMO_TENANTS]
            for tenant in tenants:
                console.print(f"    {tenant.name:<20} {tenant.address}")
            console.print("Running the mails through it")
            verdicts = run_mails(stack, tenants)
            code = _report(verdicts)
            _show_page(stack)
    return code


def _show_page(stack: Stack) -> None:
    """Offer the page with these mails on it, as long as a person is at the terminal."""
    if not sys.stdin.isatty():
        console.print("To see them in the console: run this at a terminal.")
        return
    with running_console(stack) as link:
        console.print(f"\nThe same mails in the console:\n\n  {link}\n\nEnter stops everything.")
        input()


def run_mails(stack: Stack, tenants: Sequence[LocalTenant]) -> list[Verdict]:
    """Send every demo mail through a running stack, for two of its tenants, and judge where each has ended."""
    with step("Making the mails"):
        mails = demo_mails({tenant.name: tenant.token for tenant in tenants})
    prompt = [Journey(mail=mail) for mail in mails if mail.notification == "delivered"]
    lost = [Journey(mail=mail) for mail in mails if mail.notification == "lost"]
    with step(f"Sending {len(prompt)} mails over SMTP, until each has ended") as show:
        # Sent from beside, so that it is seen when a mail ends while the next one is still being sent.
        with ThreadPoolExecutor(max_workers=1) as beside:
            sending = beside.submit(_send, stack, prompt)
            _watch(stack, prompt, show)
        sending.result()
    with step("Sending one more, whose notification gets lost"):
        stack.admin.set_notification_faults(drop_next=len(lost))
        before = _lost_notifications(stack)
        _send(stack, lost)
        stack.admin.wait_for(
            lambda: _lost_notifications(stack) - before >= len(lost), what="the notification to get lost"
        )
    with step("Firing the timer, whose sweep finds it") as show:
        stack.maintain()
        _watch(stack, lost, show)
    with step("Reading everything back and comparing hashes"), evidence(stack) as found:
        return [_judge(journey, found) for journey in prompt + lost]


def _lost_notifications(stack: Stack) -> int:
    return stack.admin.notification_counters().get("dropped", 0)


def _send(stack: Stack, journeys: Sequence[Journey]) -> None:
    assert stack.simulator is not None  # noqa: S101 - the demo's stack has one
    with smtplib.SMTP(stack.simulator.smtp_host, stack.simulator.smtp_port, timeout=60) as connection:
        for journey in journeys:
            mail = journey.mail
            connection.sendmail(mail.sender, mail.recipients, mail.mime, mail_options=["BODY=8BITMIME"])
            journey.sent_at = time.monotonic()


def _watch(stack: Stack, journeys: Sequence[Journey], show: Callable[[str], None]) -> None:
    """Return when all mails have ended or `_PATIENCE` is over; the verdicts name the mails that have not ended."""

    def all_ended() -> bool:
        found = {state.internet_message_id: state for state in stack.admin.messages()}
        ended = sum(journey.take_note(found.get(journey.mail.message_id)) for journey in journeys)
        show(f"{ended} of {len(journeys)}")
        return ended == len(journeys)

    try:
        stack.admin.wait_for(all_ended, timeout=_PATIENCE)
    except TimeoutError:
        console.print(f"    [red]not all of them within {_PATIENCE:.0f} s[/]")


def _judge(journey: Journey, found: Evidence) -> Verdict:
    if journey.state is None:
        return Verdict(journey=journey, claim=None, copies=(), problems=["it never reached the mailbox"])
    copies = found.stored(journey.state.id)
    claim = found.claim(journey.state.id)
    return Verdict(
        journey=journey,
        claim=claim,
        copies=copies,
        problems=list(_problems(journey.mail, journey.state, claim, copies)),
    )


def _problems(
    mail: DemoMail, state: MessageState, claim: ClaimRow | None, copies: Sequence[StoredMessage]
) -> Iterator[str]:
    if claim is None:
        yield "the app has no record of it"
        return
    trigger = "sweep" if mail.notification == "lost" else "webhook"
    if claim.trigger != trigger:
        yield f"triggered by {claim.trigger}, not by {trigger}"
    match mail.expected:
        case Quarantined(reason=reason):
            yield from _not_quarantined(reason, state, claim, copies)
        case Kept(tenant=tenant):
            yield from _not_kept(mail, tenant, state, copies)
            if any(copy.documents for copy in copies):
                yield "documents, although the mail brings none"
        case Stored() as expected:
            yield from _not_kept(mail, expected.tenant, state, copies)
            for copy in copies:
                yield from _wrong_documents(mail, expected, copy)


def _not_quarantined(
    reason: str, state: MessageState, claim: ClaimRow, copies: Sequence[StoredMessage]
) -> Iterator[str]:
    if state.folder != QUARANTINE:
        yield f"in {state.folder}, not in {QUARANTINE}"
    if not any(reason in category for category in state.categories):
        yield f"categories {', '.join(state.categories) or 'missing'}, not {reason}"
    if claim.reason != reason:
        yield f"recorded reason {claim.reason}, not {reason}"
    if copies:
        yield "stored although it belongs to no tenant"


def _not_kept(mail: DemoMail, tenant: str, state: MessageState, copies: Sequence[StoredMessage]) -> Iterator[str]:
    if state.folder not in _DELETED:
        yield f"in {state.folder}, not deleted"
    tenants = [copy.tenant for copy in copies]
    if tenants != [tenant]:
        yield f"stored for {', '.join(tenants) or 'no tenant'}, not for {tenant}"
    original = hashlib.sha256(mail.mime).hexdigest()
    if any(copy.original_sha256 != original for copy in copies):
        yield "the original in Blob is not what was sent"


def _wrong_documents(mail: DemoMail, expected: Stored, copy: StoredMessage) -> Iterator[str]:
    if not expected.documents:
        if [document.blob_sha256 for document in copy.documents] != [hashlib.sha256(mail.mime).hexdigest()]:
            yield "its original is not its only document"
    elif [(document.name, document.blob_sha256) for document in copy.documents] != [
        (file.name, file.sha256) for file in expected.documents
    ]:
        yield f"documents {[document.name for document in copy.documents]} are not those that were sent"
    if any(document.recorded_sha256 != document.blob_sha256 for document in copy.documents):
        yield "a recorded hash is not the blob's"


def _report(verdicts: Sequence[Verdict]) -> int:
    console.print("\n[bold]Where every mail ended[/]")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "Mail", "Trigger", "Tenant", "Documents", "Ended"):
        table.add_column(heading, overflow="fold")
    table.add_column("ms", justify="right")
    for verdict in verdicts:
        documents = [document.name for copy in verdict.copies for document in copy.documents]
        milliseconds = verdict.journey.milliseconds
        table.add_row(
            "[red]✗[/]" if verdict.problems else "[green]✓[/]",
            escape(verdict.journey.mail.title),
            verdict.claim.trigger if verdict.claim else "",
            escape(", ".join(copy.tenant for copy in verdict.copies)),
            escape("\n".join(documents)),
            escape(_end(verdict)),
            f"{milliseconds:,.0f}" if milliseconds is not None else "",
        )
    console.print(table)
    blobs = sum(1 + len(copy.documents) for verdict in verdicts for copy in verdict.copies)
    wrong = [verdict for verdict in verdicts if verdict.problems]
    if not wrong:
        console.print(
            f"[green]All {len(verdicts)} mails are where they belong;[/] "
            f"the hashes of {blobs} blobs equal those of what was sent."
        )
        return 0
    console.print(f"[red]{len(wrong)} of {len(verdicts)} mails are not where they belong:[/]")
    for verdict in wrong:
        console.print(f"  {escape(verdict.journey.mail.title)}: {escape('; '.join(verdict.problems))}")
    return 1


def _end(verdict: Verdict) -> str:
    if verdict.journey.state is None:
        return ""
    folder = verdict.journey.state.folder
    return f"{folder}: {verdict.claim.reason}" if verdict.claim and verdict.claim.reason else folder
