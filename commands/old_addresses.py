"""`tenants old-addresses …`: old addresses of tenants, for mail that is redirected without a trace of the token."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.context import ByOption, WhyOption, account, tenant_of
from commands.csv_input import read_csv
from commands.output import CsvOption, JsonOption, LimitOption, Row, form_of, print_record, print_rows, say
from ingest.errors import OperatorError
from ingest.settings import AddressSettings
from operations.settings import operator_database_url, owner_database_url
from operations.tenants.old_addresses import OldAddress, OldAddresses, Source, normal_address

app = typer.Typer(
    no_args_is_help=True,
    help="Old addresses, for redirected mail without a token. Off until an operator confirms an address.",
)

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The old address.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="Of this tenant: its id, token or upload address.")]


@app.command("list")
def list_addresses(
    *,
    tenant: TenantOption = None,
    removed: Annotated[bool, typer.Option("--removed", help="Also those that were removed.")] = False,
    limit: LimitOption = 1000,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List old addresses with their state and record.

    \b
    Examples:
      python -m ingest tenants old-addresses list --tenant 42
      python -m ingest tenants old-addresses list --json | jq -r '.[] | select(.state == "unconfirmed") | .address'
    """
    found = _addresses().all(tenant=_token_or_id(tenant), removed=removed, limit=limit)
    rows: list[Row] = [_row(one) for one in found]
    print_rows(
        rows,
        form_of(as_json=as_json, as_csv=as_csv),
        empty="No old address is on record: mail routes by tokens alone.",
        limit=limit,
    )


@app.command()
def add(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id, token or upload address.")],
    address: AddressArgument,
    *,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Record an old address. It does not route before it is confirmed.

    \b
    Example:
      python -m ingest tenants old-addresses add 42 rechnung@tischlerei.example --why "ticket 7"
    """
    _must_be_foreign(address)
    added = _addresses().add(_token_or_id(tenant) or "", address, account(by, why))
    print_record(_row(added), as_json=as_json)


@app.command("import")
def import_addresses(
    *,
    mail_accounts: Annotated[
        bool, typer.Option("--from-mail-accounts", help="From the DMS's dms_emailconfig, before migrate drops it.")
    ] = False,
    column: Annotated[str | None, typer.Option(help="The column of dms_emailconfig that holds the address.")] = None,
    from_csv: Annotated[
        Path | None, typer.Option("--csv", help="From a file with the columns tenant and address.", dir_okay=False)
    ] = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Record the old addresses of many tenants. None of them routes before it is confirmed; no credential is read.

    \b
    Examples:
      python -m ingest tenants old-addresses import --from-mail-accounts --why "hand-over"
      python -m ingest tenants old-addresses import --csv old-addresses.csv --why "hand-over"
    """
    if mail_accounts is (from_csv is not None):
        raise OperatorError("Import either --from-mail-accounts or from a file: --csv FILE.")
    words = account(by, why)
    if from_csv is None:
        imported = OldAddresses(owner_database_url(os.environ)).add_mail_accounts(words, column=column)
    else:
        pairs = ((row["tenant"], row["address"]) for _, row in read_csv(from_csv, "tenant", "address"))
        imported = _addresses().add_all(pairs, words, source=Source.CSV)
    for line in imported.skipped:
        say(f"skipped {line}", err=True)
    skipped = len(imported.skipped)
    print_record({"added": imported.added, "known": imported.known, "skipped": skipped}, as_json=as_json)


@app.command()
def confirm(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS…", help="The old addresses.")],
    *,
    until: Annotated[str, typer.Option(help="The last day on which the address routes: 2027-03-31.")],
    tenant: TenantOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Route mail to old addresses until a day.

    The day is included. Any stranger can write to an old address, as before. Confirm only addresses that belong to
    the tenant alone.

    \b
    Example:
      python -m ingest tenants old-addresses confirm rechnung@tischlerei.example --until 2027-03-31 --why "ticket 7"
    """
    end, words, owner = _end_of(until), account(by, why), _token_or_id(tenant)
    for address in addresses:
        _must_be_foreign(address)
    confirmed = [_addresses().confirm(one, words, tenant=owner, until=end) for one in addresses]
    print_rows([_row(one) for one in confirmed], form_of(as_json=as_json, as_csv=False), empty="")


@app.command()
def remove(
    address: AddressArgument,
    *,
    tenant: TenantOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Let an old address route no more, at once. It stays on record.

    \b
    Example:
      python -m ingest tenants old-addresses remove rechnung@tischlerei.example --why "ticket 7"
    """
    removed = _addresses().remove(address, account(by, why), tenant=_token_or_id(tenant))
    print_record(_row(removed), as_json=as_json)


def _addresses() -> OldAddresses:
    return OldAddresses(operator_database_url(os.environ))


def _token_or_id(text: str | None) -> str | None:
    return None if text is None else tenant_of(text)


def _must_be_foreign(address: str) -> None:
    """Raise OperatorError for an address of our own: all mail is addressed there, and it would be one tenant's."""
    ours = AddressSettings.from_env(os.environ).domains
    if normal_address(address).rpartition("@")[2] in ours:
        raise OperatorError(f"{address} is an address of ours, not a tenant's old one.")


def _end_of(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{text!r} is no day: write 2027-03-31.") from None
    return datetime.combine(day, time.min, UTC) + timedelta(days=1)


def _row(one: OldAddress) -> Row:
    return {
        "tenant": one.tenant_id,
        "address": one.address,
        "state": one.state,
        "routes_until": one.routes_until,
        "source": one.source,
        "added_at": one.added_at,
        "added_by": one.added_by,
        "confirmed_at": one.confirmed_at,
        "confirmed_by": one.confirmed_by,
        "removed_at": one.removed_at,
        "removed_by": one.removed_by,
    }
