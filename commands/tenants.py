"""`tenants …`: upload addresses, with an operator's rights."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from commands import old_addresses, senders, upload_addresses
from commands.context import ByOption, GraceOption, TenantArgument, WhyOption, account, duration, tenant_of
from commands.context import upload_addresses as form_of_addresses
from commands.output import CsvOption, JsonOption, LimitOption, Row, form_of, print_record, print_rows, say
from ingest.errors import OperatorError
from ingest.settings import Settings
from operations.blobs.containers import opened_containers
from operations.settings import RetentionSettings, operator_database_url
from operations.tenants.records import DEFAULT_GRACE, TenantRecord, Tenants
from operations.tenants.upload_tokens import UploadTokens

app = typer.Typer(
    no_args_is_help=True,
    help="Upload addresses of tenants. Needs a member of ingest_operator (INGEST_OPERATOR_DATABASE_URL) or the owner.",
)

app.add_typer(upload_addresses.app, name="address")
app.add_typer(old_addresses.app, name="old-addresses")
app.add_typer(senders.app, name="senders")


@app.command("list")
def list_tenants(*, limit: LimitOption = 1000, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List tenants with their addresses and states.

    \b
    Examples:
      python -m ingest tenants list
      python -m ingest tenants list --json | jq '.[] | select(.state != "active")'
    """
    addresses = form_of_addresses()
    found = _tenants().first(limit=limit)
    rows: list[Row] = [
        {"id": tenant.id, "name": tenant.name, "state": tenant.state, "address": addresses.address(tenant.token)}
        for tenant in found
    ]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="There are no tenants yet.", limit=limit)


@app.command()
def show(tenant: TenantArgument, *, as_json: JsonOption = False) -> None:
    """Show one tenant's state, addresses, and mails of this hour.

    Earlier addresses that still route are shown, too.

    \b
    Examples:
      python -m ingest tenants show 42
      python -m ingest tenants show upload.0a1b2c3d4e5f60718293a4b5c6d7e8f9@dms.cloud
    """
    _print(_tenants().show(tenant_of(tenant)), as_json=as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new tenant's name.")],
    *,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Add a tenant, where there is no DMS to do it.

    A tenant that the DMS adds gets its address by itself.

    \b
    Example:
      python -m ingest tenants add "Tischlerei Südhang" --why "new customer"
    """
    _print(_tenants().add(name, account(by, why)), as_json=as_json)


@app.command()
def rotate(
    tenant: TenantArgument,
    *,
    grace: GraceOption = f"{DEFAULT_GRACE.days}d",
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Give a tenant a new address. The old one is never given again.

    \b
    Examples:
      python -m ingest tenants rotate 42 --why "asked for by the tenant"
      python -m ingest tenants rotate 42 --grace 0 --why "leaked"     (mail to the old one goes to Quarantine at once)
    """
    _print(_tenants().rotate(tenant_of(tenant), account(by, why), grace=duration(grace)), as_json=as_json)


@app.command()
def disable(tenant: TenantArgument, *, by: ByOption = "", why: WhyOption, as_json: JsonOption = False) -> None:
    """Send mail for a tenant to Quarantine (tenant_inactive).

    \b
    Example:
      python -m ingest tenants disable 42 --why "contract ended"
    """
    _print(_tenants().disable(tenant_of(tenant), account(by, why)), as_json=as_json)


@app.command()
def enable(tenant: TenantArgument, *, by: ByOption = "", why: WhyOption, as_json: JsonOption = False) -> None:
    """Take `disable` back. The tenant's state in the DMS stays as it is.

    \b
    Example:
      python -m ingest tenants enable 42 --why "contract renewed"
    """
    _print(_tenants().enable(tenant_of(tenant), account(by, why)), as_json=as_json)


@app.command()
def budget(
    tenant: TenantArgument,
    *,
    mails: Annotated[int | None, typer.Option("--mails", min=0, help="Mails an hour; without it: as others.")] = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Set a tenant's budget of mails an hour.

    Mails beyond the budget wait for their turn, behind those of other tenants. Without a budget of its own a tenant
    has INGEST_TENANT_BUDGET. No mail is lost: what waits stays in the inbox, and the sweep takes it up, one of each
    tenant after the other.

    \b
    Examples:
      python -m ingest tenants budget 42 --mails 5000 --why "ticket 7"
      python -m ingest tenants budget 42 --why "ticket 7"                 (as all others again)
    """
    _print(_tenants().set_budget(tenant_of(tenant), account(by, why), mails=mails), as_json=as_json)


@app.command()
def forget(
    tenant: TenantArgument,
    *,
    why: WhyOption,
    by: ByOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before deleting.")] = False,
) -> None:
    """Delete all that is stored for one tenant, for good.

    Blobs and rows. The tenant has to be disabled, for as long as a mail from before may be in work: half an hour, or
    INGEST_LEASE_SECONDS where that is more. A storage account that is not the one of the records is refused. The
    tenant's row in the DMS stays, and its tokens are never given again. Until the last row is gone, a second run
    finishes what a first one began. What INGEST_RETAIN_MAILS, an immutability policy or a legal hold keeps is refused,
    with the day on which that ends.

    \b
    Example:
      python -m ingest tenants forget 42 --why "contract ended, retention over"
    """
    found, wanted = _tenants(), tenant_of(tenant)
    record, holdings = found.show(wanted), found.holdings(wanted)
    settings = Settings.from_env(os.environ)
    containers = sorted({settings.container, *holdings.containers})
    say(
        f"tenant {record.id} ({record.name or 'no name'}): {holdings.messages} mails, {holdings.documents} documents, "
        f"every blob below {record.id}/ in {', '.join(containers)}"
    )
    if not yes and typer.prompt("Type the tenant's id to delete all of this") != str(record.id):
        raise OperatorError("Nothing was deleted.")
    days = RetentionSettings.from_env(os.environ).mails
    with opened_containers(settings, containers) as opened:
        count = found.forget(
            str(record.id),
            account(by, why),
            confirmed=holdings,
            containers=opened,
            lease_seconds=settings.lease_seconds,
            retain_days=days,
        )
    say(f"forgotten: {holdings.messages} mails, {holdings.documents} documents, {count} blobs")


def _tenants() -> Tenants:
    return Tenants(operator_database_url(os.environ))


def _print(tenant: TenantRecord, *, as_json: bool) -> None:
    addresses, tenants = form_of_addresses(), _tenants()
    load = tenants.load(str(tenant.id))
    given = UploadTokens(operator_database_url(os.environ)).of(str(tenant.id))
    print_record(
        {
            "id": tenant.id,
            "name": tenant.name,
            "state": tenant.state,
            "address": addresses.address(tenant.token),
            "disabled_at": tenant.disabled_at,
            "disabled_by": tenant.disabled_by,
            "purpose": next((one.purpose for one in given if one.main), None),
            "further_addresses": [
                f"{addresses.address(one.token)} ({one.purpose or 'no purpose'})"
                for one in given
                if not one.main and one.routes_until is None
            ],
            "earlier_addresses": [
                f"{addresses.address(earlier.token)} until {earlier.routes_until:%Y-%m-%d %H:%M}Z"
                for earlier in tenant.earlier
            ],
            "mails_this_hour": load.mails_this_hour,
            "budget": "as others" if load.budget is None else load.budget,
            "waiting": load.waiting,
            "waiting_since": load.waiting_since,
        },
        as_json=as_json,
    )
