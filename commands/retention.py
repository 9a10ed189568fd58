"""`retention`: the end of what is kept, by setting."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from commands.context import ByOption, WhyOption, account, connected
from commands.output import CsvOption, JsonOption, Row, form_of, print_rows, say
from ingest.errors import OperatorError
from operations.settings import RetentionSettings, operator_database_url


def retention(
    *,
    why: WhyOption,
    by: ByOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is due, and delete nothing.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Delete what is past its days by INGEST_RETAIN_….

    Mails, Quarantine with its rejections, and claims. A storage account that is not the one of the records is refused
    before anything is deleted. The unfinished claims of mailboxes that left the settings end after 30 days.

    What an immutability policy or a legal hold protects stays, and is printed with the day on which the protection
    ends. Exit code 1 where a mail that is due is protected.

    \b
    Examples:
      python -m ingest retention --dry-run --why "look before the yearly run"
      python -m ingest retention --why "yearly run"
    """
    from operations.blobs.containers import containers_by_name
    from operations.blobs.expiry import Expired
    from operations.mails.quarantine import Quarantine
    from operations.retention import Retention

    settings, url = RetentionSettings.from_env(os.environ), operator_database_url(os.environ)
    found: list[Expired] = []
    with connected() as ours, containers_by_name(ours.settings) as container:
        rules = Retention(
            settings=settings,
            database_url=url,
            container=container,
            quarantine=Quarantine(ours, url),
            mailboxes=ours.settings.mailboxes,
            account=account(by, why),
            dry_run=dry_run,
        )
        found += rules.run()
    if not found:  # what an earlier run or a removed mailbox left needs no setting
        raise OperatorError("Everything is kept for ever: set INGEST_RETAIN_MAILS, _QUARANTINE or _CLAIMS to days.")
    rows: list[Row] = [{**asdict(one), "protected": len(one.protected), "missed": len(one.missed)} for one in found]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="Nothing is due.")
    protected = [one for outcome in found for one in outcome.protected]
    for mail in protected:
        until = "without a known end" if mail.until is None else f"until {mail.until:%Y-%m-%d}"
        say(f"protected: mail {mail.number} of tenant {mail.tenant_id}, {until}: {mail.why}", err=True)
    for missed in (one for outcome in found for one in outcome.missed):
        say(f"not deleted: mail {missed}", err=True)
    if protected:
        raise typer.Exit(1)
