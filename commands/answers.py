"""`answers …`: the answers to senders that each tenant wants."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from commands.context import ByOption, WhyOption, account, tenant_of
from commands.output import CsvOption, JsonOption, Row, form_of, print_rows, say
from ingest.codes import AnswerKind
from ingest.errors import OperatorError
from operations.settings import operator_database_url
from operations.tenants.answers import AnswerRules
from operations.tenants.records import Tenants

app = typer.Typer(no_args_is_help=True, help="Answers to senders. Off until a tenant, or the operator, wants one.")

KindArgument = Annotated[AnswerKind, typer.Argument(metavar="KIND", help="The kind of answer (docs/answers.md).")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="The tenant's id, token or upload address.")]
# No tenant's mail has these: operators want them for all such mails.
OF_NO_TENANT = frozenset({AnswerKind.NO_SUCH_ADDRESS, AnswerKind.TENANT_INACTIVE})


@app.command("list")
def list_answers(*, tenant: TenantOption = None, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List the answers that a tenant wants.

    Without --tenant: those to mails that are no tenant's.

    \b
    Examples:
      python -m ingest answers list
      python -m ingest answers list --tenant 42 --json
    """
    rows: list[Row] = [asdict(rule) for rule in _rules().of(_tenant_id(tenant))]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="No answer is wanted.")


@app.command()
def want(kind: KindArgument, *, why: WhyOption, tenant: TenantOption = None, by: ByOption = "") -> None:
    """Send this answer from now on. Needs INGEST_ANSWERS, too.

    \b
    Examples:
      python -m ingest answers want received --tenant 42 --why "ticket 7"
      python -m ingest answers want no_such_address --why "misspelt addresses"
    """
    _set(kind, tenant, why, by, wanted=True)


@app.command()
def stop(kind: KindArgument, *, why: WhyOption, tenant: TenantOption = None, by: ByOption = "") -> None:
    """Send this answer no more.

    \b
    Example:
      python -m ingest answers stop received --tenant 42 --why "ticket 8"
    """
    _set(kind, tenant, why, by, wanted=False)


def _set(kind: AnswerKind, tenant: str | None, why: str, by: str, *, wanted: bool) -> None:
    if (kind in OF_NO_TENANT) is not (tenant is None):
        needs = "is for mails that are no tenant's: leave --tenant out" if tenant else "needs --tenant"
        raise OperatorError(f"The answer {kind} {needs}.")
    _rules().set(_tenant_id(tenant), kind, account(by, why), wanted=wanted)
    say(f"The answer {kind} is {'sent from now on' if wanted else 'sent no more'}.")


def _rules() -> AnswerRules:
    return AnswerRules(operator_database_url(os.environ))


def _tenant_id(tenant: str | None) -> int | UUID | None:
    if tenant is None:
        return None
    return Tenants(operator_database_url(os.environ)).show(tenant_of(tenant)).id
