"""`subscriptions …`: the reason that Graph announces new mail to the app."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.context import ByOption, MailboxOption, WhyOption, account, chosen_mailboxes, connected
from commands.output import CsvOption, JsonOption, Row, form_of, print_rows, say
from ingest.errors import OperatorError
from ingest.wiring import App
from operations.audit import Audit
from operations.settings import operator_database_url
from subscriptions.plan import Create, Delete, Listed, Renew, Wanted, steps, wanted_by

app = typer.Typer(no_args_is_help=True, help="Subscriptions at Graph. The app's timer renews them by itself.")


@app.command("list")
def list_subscriptions(*, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List the subscriptions, and what the timer will do about each.

    All those of this app registration.

    \b
    Example:
      python -m ingest subscriptions list
    """
    from subscriptions.calls import Subscriptions

    with connected() as ours:
        listed = Subscriptions(ours.graph).list()
        now = datetime.now(UTC)
        plans = [step for want in _wanted(ours, None) for step in steps(now, listed, want)]
    rows: list[Row] = [
        {
            "id": one.id,
            "resource": one.resource,
            "expires": one.expires_at,
            "next": _next(one, plans),
            "notification_url": one.notification_url,
        }
        for one in listed
    ]
    print_rows(
        rows,
        form_of(as_json=as_json, as_csv=as_csv),
        empty="There are no subscriptions: python -m ingest subscriptions renew",
    )


@app.command()
def renew(*, mailbox: MailboxOption = None) -> None:
    """Make or renew one subscription for each mailbox now.

    The timer does the same every five minutes. The app has to be running: Graph shakes hands with it before it
    makes a subscription.

    \b
    Example:
      python -m ingest subscriptions renew
    """
    from subscriptions.calls import Subscriptions
    from subscriptions.renewal import Renewal

    with connected() as ours:
        renewal = Renewal(Subscriptions(ours.graph))
        for want in _wanted(ours, mailbox):
            for step in renewal.reauthorize(want):
                say(f"{want.mailbox}: {_told(step)}")


@app.command()
def delete(
    subscription: Annotated[str | None, typer.Argument(metavar="ID", help="The subscription's id.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of this app registration.")] = False,
    by: ByOption = "",
    why: WhyOption,
) -> None:
    """Delete a subscription. The timer makes a needed one again.

    \b
    Examples:
      python -m ingest subscriptions delete 7f105c7d-2dc5-4530-97cd-4e7ae6534c07 --why "wrong URL"
      python -m ingest subscriptions delete --all --why "the app is stopped for good"
    """
    from subscriptions.calls import Subscriptions

    if (subscription is None) == (not everything):
        raise OperatorError("Give one subscription's id, or --all.")
    with connected() as ours:
        calls = Subscriptions(ours.graph)
        known = [listed.id for listed in calls.list()]
        if subscription is not None and subscription not in known:
            raise OperatorError(f"There is no subscription {subscription} (see subscriptions list).")
        audit, words = Audit(operator_database_url(os.environ)), account(by, why)
        for one in [subscription] if subscription else known:
            audit.record("subscription.delete", f"subscription {one}", words, details={})
            calls.delete(one)
            say(f"deleted {one}")


def _wanted(ours: App, mailbox: str | None) -> list[Wanted]:
    return [wanted_by(ours.settings, name) for name in chosen_mailboxes(ours.settings, mailbox)]


def _next(one: Listed, plans: list[Create | Renew | Delete]) -> str:
    for step in plans:
        match step:
            case Renew(subscription_id=one.id):
                return "renewed"
            case Delete(subscription_id=one.id):
                return "deleted: wrong, or one too many"
            case _:
                continue
    return "kept"


def _told(step: Create | Renew | Delete) -> str:
    match step:
        case Create():
            return f"created, until {step.expires_at:%Y-%m-%d %H:%M}Z"
        case Renew():
            return f"renewed {step.subscription_id}, until {step.expires_at:%Y-%m-%d %H:%M}Z"
        case Delete():
            return f"deleted {step.subscription_id}, which was wrong or one too many"
