"""`quarantine …`: mails that could not be routed or read, and a person's decision about each."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from commands.context import (
    ByOption,
    MailboxOption,
    MessageArgument,
    WhyOption,
    account,
    chosen_mailboxes,
    connected,
    inspection,
    ref_of,
    upload_addresses,
)
from commands.output import CsvOption, JsonOption, LimitOption, Row, form_of, print_rows, say
from ingest.codes import Reason
from ingest.errors import IngestError, OperatorError
from ingest.model.message import QuarantinedMail
from ingest.model.message_ref import MessageRef
from ingest.wiring import App
from operations.mails.quarantine import Quarantine
from operations.settings import operator_database_url

app = typer.Typer(no_args_is_help=True, help="Mails in the folder Quarantine.")

MessagesArgument = Annotated[
    list[str], typer.Argument(metavar="MESSAGE…", help="Messages by number (messages list) or Graph id.")
]
ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only those with this reason.")]
_ADVICE = {
    Reason.NO_TOKEN: "no recipient is an upload address: assign the mail instead",
    Reason.UNKNOWN_TOKEN: "no tenant has its address: assign the mail instead",
    Reason.TENANT_INACTIVE: "its tenant is still switched off",
}


@app.command("list")
def list_quarantine(
    *,
    reason: ReasonOption = None,
    mailbox: MailboxOption = None,
    limit: LimitOption = 200,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List the mails with reason and age, oldest first.

    \b
    Examples:
      python -m ingest quarantine list
      python -m ingest quarantine list --reason tenant_inactive --json
    """
    rows: list[Row] = []
    now = datetime.now(UTC)
    with connected() as ours:
        for name in chosen_mailboxes(ours.settings, mailbox):
            mails = list(islice(_quarantine(ours).mails(name, reason=reason), limit - len(rows)))
            numbers = inspection().numbers(name, [mail.ref.message_id for mail in mails])
            rows += [_row(mail, numbers.get(mail.ref.message_id), now) for mail in mails]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="Quarantine is empty.", limit=limit)


@app.command()
def release(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
    ] = None,
    *,
    reason: Annotated[Reason | None, typer.Option("--reason", help="All mails with this reason, oldest first.")] = None,
    limit: LimitOption = 200,
    by: ByOption = "",
    why: WhyOption,
    mailbox: MailboxOption = None,
) -> None:
    """Put mails back into the inbox, once the cause is mended.

    There they are ingested again.

    \b
    Examples:
      python -m ingest quarantine release 4711 --why "tenant enabled"     (after: tenants enable 42)
      python -m ingest quarantine release --reason processing_failed --why "fixed with 1.4.2"
    """
    if (message is None) == (reason is None):
        raise OperatorError("Name one message, or a --reason.")
    with connected() as ours:
        quarantine = _quarantine(ours)
        if message is not None:
            refs = [ref_of(message, ours.settings, mailbox)]
        else:
            names = chosen_mailboxes(ours.settings, mailbox)
            mails = (mail.ref for name in names for mail in quarantine.mails(name, reason=reason))
            refs = list(islice(mails, limit))
        released = sum(_release(quarantine, ref, by=by, why=why) for ref in refs)
    say(f"released: {released}; ingested again within minutes")
    if message is None and len(refs) >= limit:
        say(f"Only the first {limit} were tried: there may be more (--limit).", err=True)
    if released < len(refs):
        raise OperatorError(f"{len(refs) - released} of {len(refs)} mail(s) were not released.")


def _release(quarantine: Quarantine, ref: MessageRef, *, by: str, why: str) -> bool:
    """Release one mail and return True, or say what stands in the way: the trouble of one mail stops no other."""
    try:
        rejected = quarantine.release(ref, account(by, why))
    except IngestError as error:
        say(f"{ref.message_id}: {error}", err=True)
        return False
    if rejected is not None:
        advice = _ADVICE.get(rejected, "the cause is not mended")
        say(f"warning: {ref.message_id} will come back as {rejected}: {advice}", err=True)
    return True


@app.command()
def assign(
    message: MessageArgument,
    *,
    tenant: Annotated[str, typer.Option(help="The tenant: its id or its upload address.")],
    by: ByOption = "",
    why: WhyOption,
    mailbox: MailboxOption = None,
) -> None:
    """Ingest a mail for a tenant although its address was wrong. The decision goes on record with your login.

    \b
    Examples:
      python -m ingest quarantine assign 4711 --tenant 42 --why "sender confirmed by phone"
      python -m ingest quarantine assign 4711 --tenant upload.0a1b2c3d4e5f60718293a4b5c6d7e8f9@dms.cloud --why "asked"
    """
    wanted = tenant
    if "@" in tenant:
        token = upload_addresses().token(tenant)
        if token is None:
            raise OperatorError(f"{tenant} is no upload address.")
        wanted = token
    with connected() as ours:
        ref = ref_of(message, ours.settings, mailbox)
        say(_quarantine(ours).assign(ref, wanted, account(by, why)))


@app.command()
def delete(
    messages: MessagesArgument,
    *,
    why: WhyOption,
    by: ByOption = "",
    mailbox: MailboxOption = None,
) -> None:
    """Move mails to Deleted Items.

    Exchange keeps them there for a while.

    \b
    Example:
      python -m ingest quarantine delete 4711 4712 --why "advertising"
    """
    _for_each(messages, mailbox, "deleted", lambda quarantine, ref: quarantine.delete(ref, account(by, why)))


@app.command("bring-back")
def bring_back(
    messages: MessagesArgument,
    *,
    why: WhyOption,
    by: ByOption = "",
    mailbox: MailboxOption = None,
) -> None:
    """Take back a release or a deletion.

    The mails move back to Quarantine, where they are not ingested yet.

    \b
    Example:
      python -m ingest quarantine bring-back 4711 --why "deleted by mistake"
    """
    _for_each(messages, mailbox, "brought back", lambda quarantine, ref: quarantine.bring_back(ref, account(by, why)))


def _for_each(
    messages: list[str], mailbox: str | None, done: str, step: Callable[[Quarantine, MessageRef], None]
) -> None:
    """Do the step for each mail: the trouble of one mail stops no other. Raises OperatorError for those not done."""
    failed = 0
    with connected() as ours:
        quarantine = _quarantine(ours)
        for message in messages:
            try:
                step(quarantine, ref_of(message, ours.settings, mailbox))
            except IngestError as error:
                say(f"{message}: {error}", err=True)
                failed += 1
    say(f"{done}: {len(messages) - failed}")
    if failed:
        raise OperatorError(f"{failed} of {len(messages)} mail(s) were not {done}.")


def _quarantine(ours: App) -> Quarantine:
    return Quarantine(ours, operator_database_url(os.environ))


def _row(mail: QuarantinedMail, number: int | None, now: datetime) -> Row:
    return {
        "number": number if number is not None else mail.ref.message_id,
        "mailbox": mail.ref.mailbox,
        "reason": mail.reason,
        "received": mail.received_at,
        "age_days": (now - mail.received_at).days,
        "sender": mail.sender,
        "subject": mail.subject,
    }
