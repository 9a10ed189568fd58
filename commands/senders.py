"""`tenants senders …`: the senders that a tenant lets in, and the mails of others that wait."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from commands.context import ByOption, TenantArgument, WhyOption, account, tenant_of
from commands.csv_input import read_csv
from commands.output import CsvOption, Form, JsonOption, LimitOption, Row, form_of, print_record, print_rows, say
from ingest.errors import OperatorError
from operations.settings import operator_database_url
from operations.tenants.senders import GENERAL, Decision, SenderMode, Senders

app = typer.Typer(
    no_args_is_help=True,
    help="Allowed senders of a tenant, and the waiting room. Off until a mode is set.",
)

SendersArgument = Annotated[list[str], typer.Argument(metavar="SENDER…", help="Addresses, or domains without an @.")]
PurposeOption = Annotated[
    str, typer.Option("--purpose", help="The list of the addresses with this purpose; without it: the general list.")
]
OwnerOption = Annotated[
    str | None, typer.Option("--tenant", help="Of this tenant: needed where copies of several tenants wait.")
]


@app.command("list")
def list_senders(
    tenant: TenantArgument, *, limit: LimitOption = 1000, as_json: JsonOption = False, as_csv: CsvOption = False
) -> None:
    """List a tenant's lists, their modes and their senders.

    \b
    Examples:
      python -m ingest tenants senders list 42
      python -m ingest tenants senders list 42 --json | jq -r '.[].sender'
    """
    senders, wanted, form = _senders(), tenant_of(tenant), form_of(as_json=as_json, as_csv=as_csv)
    if form is Form.TABLE:
        lists: list[Row] = [{**asdict(one), "purpose": one.purpose or "(general)"} for one in senders.lists(wanted)]
        print_rows(lists, form, empty="No list has a mode: every sender is let in.")
        say("")
    rows: list[Row] = [
        {
            "purpose": one.purpose,
            "sender": one.entry,
            "added_at": one.added_at,
            "added_by": one.added_by,
            "remark": one.remark,
        }
        for one in senders.all(wanted, limit=limit)
    ]
    print_rows(rows, form, empty="No sender is on a list.", limit=limit)


@app.command()
def add(
    tenant: TenantArgument,
    senders: SendersArgument,
    *,
    purpose: PurposeOption = GENERAL,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Put senders on a list. A domain stands for its addresses, not for those of its subdomains.

    Mails that wait for one of these senders are approved, where the sender was proven.

    \b
    Examples:
      python -m ingest tenants senders add 42 rechnung@lieferant.example grosshandel.example --why "ticket 7"
      python -m ingest tenants senders add 42 tischlerei.example --purpose outgoing --why "ticket 7"
    """
    added = _senders().allow(tenant_of(tenant), senders, account(by, why), purpose=purpose)
    print_record({"added": added, "known": len(senders) - added}, as_json=as_json)


@app.command()
def remove(
    tenant: TenantArgument,
    senders: SendersArgument,
    *,
    purpose: PurposeOption = GENERAL,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Take senders off a list. Mails that are stored stay as they are.

    \b
    Example:
      python -m ingest tenants senders remove 42 rechnung@lieferant.example --why "ticket 7"
    """
    removed = _senders().remove(tenant_of(tenant), senders, account(by, why), purpose=purpose)
    print_record({"removed": removed}, as_json=as_json)


@app.command("import")
def import_senders(
    tenant: TenantArgument,
    from_csv: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with a column sender in its first line.", dir_okay=False)
    ],
    *,
    purpose: PurposeOption = GENERAL,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Put the senders of a CSV file on a list. Lines that hold no sender are named and left out; exit code 1 then.

    \b
    Example:
      python -m ingest tenants senders import 42 suppliers.csv --why "ticket 7"
    """
    lines = ((number, row["sender"]) for number, row in read_csv(from_csv, "sender"))
    imported = _senders().allow_all(tenant_of(tenant), lines, account(by, why), purpose=purpose)
    for line in imported.wrong:
        say(line, err=True)
    print_record({"added": imported.added, "known": imported.known, "wrong": len(imported.wrong)}, as_json=as_json)
    if imported.wrong:
        raise typer.Exit(1)


@app.command()
def mode(
    tenant: TenantArgument,
    mode: Annotated[str, typer.Argument(metavar="MODE", help="off, hold, quarantine; general: no list of its own.")],
    *,
    purpose: PurposeOption = GENERAL,
    by: ByOption = "",
    why: WhyOption,
) -> None:
    """Set the mode of a list.

    The mode decides about a mail of a sender that is not on the list, or not proven:

    \b
    off         the mail is filed as any other
    hold        the mail is stored, and its documents are hidden from the DMS until a person approves
    quarantine  the mail goes to Quarantine (sender_not_allowed)
    general     only with --purpose: the general list counts again

    Mails that are stored stay as they are.

    \b
    Examples:
      python -m ingest tenants senders mode 42 hold --why "ticket 7"
      python -m ingest tenants senders mode 42 quarantine --purpose outgoing --why "ticket 7"
    """
    _senders().set_mode(tenant_of(tenant), _mode(mode, purpose), account(by, why), purpose=purpose)


@app.command()
def waiting(
    tenant: Annotated[str | None, typer.Argument(metavar="TENANT", help="Only of this tenant, by its id.")] = None,
    *,
    limit: LimitOption = 1000,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List the mails that wait for a decision, oldest first.

    \b
    Examples:
      python -m ingest tenants senders waiting
      python -m ingest tenants senders waiting 42 --json | jq '.[].number'
    """
    found = _senders().held(tenant=tenant, limit=limit)
    rows: list[Row] = [
        {name: value for name, value in asdict(mail).items() if name not in {"key", "tenant"}} for mail in found
    ]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="No mail waits for a decision.", limit=limit)


@app.command()
def approve(
    number: Annotated[int, typer.Argument(metavar="MAIL", help="The mail's number (tenants senders waiting).")],
    *,
    for_ever: Annotated[bool, typer.Option("--for-ever", help="Also put the sender on the list.")] = False,
    tenant: OwnerOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Approve a mail that waits: the DMS sees its documents.

    A mail that was declined can be approved, too.

    \b
    Examples:
      python -m ingest tenants senders approve 4711 --why "ticket 7"
      python -m ingest tenants senders approve 4711 --for-ever --why "new supplier"
    """
    decision = Decision.APPROVE_SENDER if for_ever else Decision.APPROVE
    documents = _senders().decide(number, decision, account(by, why), tenant=tenant)
    print_record({"approved": number, "documents": documents}, as_json=as_json)


@app.command()
def decline(
    number: Annotated[int, typer.Argument(metavar="MAIL", help="The mail's number (tenants senders waiting).")],
    *,
    tenant: OwnerOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Take a mail out of the waiting room. Its documents stay hidden from the DMS, and nothing is deleted.

    \b
    Example:
      python -m ingest tenants senders decline 4711 --why "advertising"
    """
    documents = _senders().decide(number, Decision.DECLINE, account(by, why), tenant=tenant)
    print_record({"declined": number, "documents": documents}, as_json=as_json)


def _senders() -> Senders:
    return Senders(operator_database_url(os.environ))


def _mode(text: str, purpose: str) -> SenderMode | None:
    if text == "general":
        if purpose == GENERAL:
            raise OperatorError("general is for the list of a purpose: name the purpose with --purpose.")
        return None
    try:
        return SenderMode(text)
    except ValueError:
        raise OperatorError(f"{text!r} is no mode: write {', '.join(SenderMode)} or general.") from None
