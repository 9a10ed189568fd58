"""`quarantine …`: what could not be routed or read, and what a person decides about it."""

from __future__ import annotations

import getpass
import os
from itertools import islice
from typing import Annotated

import typer

from commands.context import MailboxOption, MessageArgument, chosen_mailboxes, connected, inspection, ref_of
from commands.output import JsonOption, LimitOption, Row, print_rows
from ingest import log
from ingest.errors import Later, OperatorError
from ingest.model import CleanedUp, MessageRef, QuarantinedMail, Stored, Tenant
from ingest.settings import AddressSettings, owner_database_url
from ingest.wiring import App
from operations.addresses import UploadAddresses
from operations.quarantine import Quarantine
from operations.tenants import Tenants

app = typer.Typer(no_args_is_help=True, help="Mails in the folder Quarantine.")


@app.command("list")
def list_quarantine(*, mailbox: MailboxOption = None, limit: LimitOption = 200, as_json: JsonOption = False) -> None:
    """What lies in Quarantine, oldest first, with its reason.

    \b
    Example:
      python -m ingest quarantine list
    """
    rows: list[Row] = []
    with connected() as ours:
        quarantine = Quarantine(ours.mailboxes)
        for name in chosen_mailboxes(ours.settings, mailbox):
            mails = list(islice(quarantine.mails(name), limit - len(rows)))
            numbers = inspection().numbers(name, [mail.ref.message_id for mail in mails])
            rows += [_row(mail, numbers.get(mail.ref.message_id)) for mail in mails]
    print_rows(rows, as_json=as_json, empty="Quarantine is empty.", limit=limit)


@app.command()
def release(message: MessageArgument, *, mailbox: MailboxOption = None) -> None:
    """Put a mail back into the inbox, where it is ingested again: for when the cause is mended.

    \b
    Example:
      python -m ingest quarantine release 4711     (after: tenants enable 42)
    """
    with connected() as ours:
        ref = ref_of(message, ours.settings, mailbox)
        Quarantine(ours.mailboxes).release(ref)
        log.info("quarantine.released", mailbox=ref.mailbox, message=ref.message_id)
    typer.echo("released: it is in the inbox, and will be ingested within minutes")


@app.command()
def assign(
    message: MessageArgument,
    *,
    tenant: Annotated[
        str, typer.Option(help="Whose it is: an upload address, or (with INGEST_OWNER_DATABASE_URL) a tenant's id.")
    ],
    by: Annotated[str, typer.Option(help="Who decides it, for the record; default: your login name.")] = "",
    mailbox: MailboxOption = None,
) -> None:
    """Ingest a mail for a tenant although its address was wrong, and record who decided it.

    \b
    Examples:
      python -m ingest quarantine assign 4711 --tenant 42
      python -m ingest quarantine assign 4711 --tenant upload.0a1b2c3d4e5f60718293a4b5c6d7e8f9@dms.cloud --by anna
    """
    with connected() as ours:
        ref = ref_of(message, ours.settings, mailbox)
        owner = _tenant(tenant, ours)
        Quarantine(ours.mailboxes).must_hold(ref)
        _ingest(ours, ref, owner, by or getpass.getuser())


def _ingest(ours: App, ref: MessageRef, tenant: Tenant, by: str) -> None:
    inspection().note_assigned(ref, by=by)
    log.info("message.assigned", mailbox=ref.mailbox, message=ref.message_id, tenant=tenant.id, by=by)
    try:
        outcome = ours.pipeline.ingest_message(ref, assigned=tenant)
    except Later as later:
        raise OperatorError(f"Not now, try again later; the mail is in Quarantine as before. {later}") from None
    if not isinstance(outcome, Stored | CleanedUp):
        raise OperatorError(f"Not ingested: {type(outcome).__name__.lower()} (see messages show).")
    documents = outcome.documents if isinstance(outcome, Stored) else "its"
    typer.echo(f"ingested for tenant {tenant.id}: {documents} document(s); the mail has left Quarantine")


def _tenant(text: str, ours: App) -> Tenant:
    """The tenant meant: by its address with the app's rights, by its id with the owner's."""
    if "@" not in text:
        return Tenant(id=Tenants(owner_database_url(os.environ)).show(text).id)
    token = UploadAddresses(AddressSettings.from_env(os.environ)).token(text)
    matches = ours.tenants.resolve_tokens([token]) if token else []
    if not matches:
        raise OperatorError(f"{text} is nobody's upload address.")
    return matches[0].tenant


def _row(mail: QuarantinedMail, number: int | None) -> Row:
    return {
        "number": number if number is not None else mail.ref.message_id,
        "mailbox": mail.ref.mailbox,
        "reason": mail.reason,
        "received": mail.received_at,
        "sender": mail.sender,
        "subject": mail.subject,
    }
