"""`tenants address …`: the upload addresses of one tenant, and the purposes that they carry."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from commands.context import (
    ByOption,
    GraceOption,
    TenantArgument,
    WhyOption,
    account,
    duration,
    tenant_of,
    upload_addresses,
)
from commands.output import CsvOption, JsonOption, Row, form_of, print_record, print_rows, say
from operations.settings import operator_database_url
from operations.tenants.records import DEFAULT_GRACE, Tenants
from operations.tenants.upload_tokens import UploadToken, UploadTokens

_PRINT = "print"


class _PrintByDefault(TyperGroup):
    """A group with `print` as the command where none is named: `tenants address 42`."""

    def resolve_command(
        self,
        ctx: Any,  # noqa: ANN401 - a class of typer's private copy of click
        args: list[str],
    ) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, or `print`."""
        return super().resolve_command(ctx, args if args and args[0] in self.commands else [_PRINT, *args])


app = typer.Typer(
    cls=_PrintByDefault,
    no_args_is_help=True,
    help="Upload addresses of one tenant. `tenants address TENANT` prints the main one and nothing else.",
)

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The upload address, or its token.")]
PurposeOption = Annotated[
    str | None, typer.Option("--purpose", help="A label such as incoming, outgoing, cash; without it: none.")
]


@app.command(_PRINT)
def print_address(tenant: TenantArgument) -> None:
    """Print a tenant's main address and nothing else, for copying.

    \b
    Example:
      python -m ingest tenants address print 42
      python -m ingest tenants address 42        (the same)
    """
    say(upload_addresses().address(Tenants(operator_database_url(os.environ)).show(tenant_of(tenant)).token))


@app.command("list")
def list_addresses(tenant: TenantArgument, *, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List the addresses of a tenant that route, the main one first.

    \b
    Example:
      python -m ingest tenants address list 42
    """
    rows = [_row(one) for one in _tokens().of(tenant_of(tenant))]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="The tenant has no address.")


@app.command()
def add(
    tenant: TenantArgument,
    *,
    purpose: PurposeOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Give a tenant one more address. The purpose stands on the mails and documents that come to the address.

    A purpose may have a list of allowed senders of its own (tenants senders … --purpose).

    \b
    Examples:
      python -m ingest tenants address add 42 --purpose outgoing --why "ticket 7"
      python -m ingest tenants address add 42 --purpose cash --why "ticket 7" --json | jq -r .address
    """
    print_record(_row(_tokens().add(tenant_of(tenant), account(by, why), purpose=purpose)), as_json=as_json)


@app.command("purpose")
def set_purpose(
    address: AddressArgument,
    *,
    purpose: PurposeOption = None,
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Set the purpose of an address, or take it away. Mails that are stored keep theirs.

    \b
    Example:
      python -m ingest tenants address purpose upload.0a1b…f9@dms.cloud --purpose incoming --why "ticket 7"
    """
    print_record(_row(_tokens().set_purpose(tenant_of(address), account(by, why), purpose=purpose)), as_json=as_json)


@app.command()
def rotate(
    address: AddressArgument,
    *,
    grace: GraceOption = f"{DEFAULT_GRACE.days}d",
    by: ByOption = "",
    why: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Replace an address with a fresh one of the same purpose. The old one is never given again.

    \b
    Example:
      python -m ingest tenants address rotate upload.0a1b…f9@dms.cloud --grace 0 --why "ticket 7"
    """
    fresh = _tokens().rotate(tenant_of(address), account(by, why), grace=duration(grace))
    print_record(_row(fresh), as_json=as_json)


@app.command()
def remove(
    address: AddressArgument,
    *,
    grace: GraceOption = f"{DEFAULT_GRACE.days}d",
    by: ByOption = "",
    why: WhyOption,
) -> None:
    """End an address that was added. The main one is rotated instead: a tenant has an address at all times.

    \b
    Example:
      python -m ingest tenants address remove upload.0a1b…f9@dms.cloud --grace 12h --why "ticket 7"
    """
    _tokens().end(tenant_of(address), account(by, why), grace=duration(grace))


def _tokens() -> UploadTokens:
    return UploadTokens(operator_database_url(os.environ))


def _row(one: UploadToken) -> Row:
    return {
        "address": upload_addresses().address(one.token),
        "purpose": one.purpose,
        "main": one.main,
        "given_at": one.given_at,
        "routes_until": one.routes_until,
    }
