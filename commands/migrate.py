"""`migrate`: the schema of this version, in the database of the DMS or in an empty one."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from commands.context import ByOption, account
from commands.output import say
from operations.settings import owner_database_url


def migrate(
    *,
    to: Annotated[str, typer.Option(help="Apply up to and including this migration.")] = "head",
    back_to: Annotated[
        str | None, typer.Option(help="Take back everything after this migration; 'nothing' takes all of it back.")
    ] = None,
    keep_mail_accounts: Annotated[
        bool, typer.Option("--keep-mail-accounts", help="Leave dms_emailconfig until the DMS has switched.")
    ] = False,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="The reason for --back-to, for the record.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before taking back.")] = False,
) -> None:
    """Bring the database to this version's schema, as its owner. Safe to repeat, and beside a live DMS.

    \b
    Examples:
      python -m ingest migrate
      python -m ingest migrate --keep-mail-accounts     (until the DMS has switched)
      python -m ingest migrate --back-to 0003_unique_tokens --why "back to the version before"
    """
    from operations.schema import migrations

    url = owner_database_url(os.environ)
    if back_to is None:
        applied = migrations.migrate(url, to=to, report=say)
        for name in applied:
            say(f"applied {name}")
        dropped = to == "head" and not keep_mail_accounts and migrations.drop_mail_accounts(url, report=say)
        if not applied and not dropped:
            say("the database is up to date")
        return
    target, words = None if back_to == "nothing" else back_to, account(by, why)
    if not yes:
        for line in migrations.losses(url, to=target):
            say(f"goes: {line}")
        typer.confirm("All of this is dropped for good (blobs stay). Go on?", abort=True)
    taken_back = migrations.roll_back(url, words, to=target, report=say)
    for name in taken_back:
        say(f"took back {name}")
    if not taken_back:
        say("there was nothing to take back")
