"""The context of commands: the app, built from the environment, its mailboxes, and the operator's own words."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer

from ingest import wiring
from ingest.errors import OperatorError
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import AddressSettings, Settings, database_url
from ingest.wiring import App
from operations.audit import Account
from operations.inspection import ClaimRecord, Inspection
from operations.tenants.upload_addresses import UploadAddresses

MailboxOption = Annotated[
    str | None, typer.Option("--mailbox", help="Only this one of the mailboxes in AZURE_INGEST_MAILBOX.")
]
MessageArgument = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
]
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id, token or upload address.")]
ByOption = Annotated[
    str, typer.Option("--by", help="A remark for the record, such as a name or ticket; default: your login name.")
]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the record: each action has one.")]
GraceOption = Annotated[str, typer.Option("--grace", help="How long the old address still routes: 30d, 12h, 0.")]
_DURATION = re.compile(r"(\d+)\s*([dhm]?)")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def tenant_of(text: str) -> str:
    """Return a tenant's id or token as given; of an upload address, its token."""
    return (upload_addresses().token(text) or text) if "@" in text else text


def upload_addresses() -> UploadAddresses:
    """Return the form of upload addresses by the settings. Raises SettingsError."""
    return UploadAddresses(AddressSettings.from_env(os.environ))


def duration(text: str) -> timedelta:
    """Return a duration as people write it: 30d, 12h, 45m, 0. Raises OperatorError."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise OperatorError(f"{text!r} is no duration: write 30d, 12h, 45m or 0.")
    return timedelta(**{_UNITS[match[2] or "d"]: int(match[1])})


def account(by: str, why: str) -> Account:
    """Return the operator's words for the record; the database adds its own login."""
    return Account(why=why, remark=by or getpass.getuser())


@contextmanager
def connected() -> Iterator[App]:
    """Build the app of this environment, and close its connections at the end. Raises SettingsError."""
    app = wiring.build(Settings.from_env(os.environ))
    try:
        yield app
    finally:
        app.close()


def inspection() -> Inspection:
    """Return the database with the rights of INGEST_DATABASE_URL. Raises SettingsError."""
    return Inspection(database_url(os.environ))


def chosen_mailboxes(settings: Settings, mailbox: str | None) -> Sequence[str]:
    """Return all mailboxes, or the named one. Raises OperatorError where the settings name no such mailbox."""
    if mailbox is None:
        return settings.mailboxes
    if mailbox.lower() not in settings.mailboxes:
        raise OperatorError(f"{mailbox} is not in AZURE_INGEST_MAILBOX ({', '.join(settings.mailboxes)}).")
    return (mailbox.lower(),)


def claim_of(message: str) -> ClaimRecord:
    """Return the one record of a message. Raises OperatorError."""
    found = inspection().find(message)
    if not found:
        raise OperatorError(f"There is no record of message {message}: see messages list.")
    if len(found) > 1:
        raise OperatorError("Several mailboxes have a message of this id: give its number (messages list).")
    return found[0]


def ref_of(message: str, settings: Settings, mailbox: str | None) -> MessageRef:
    """Return a message by its number or, also without a record, by its Graph id. Raises OperatorError."""
    found = inspection().find(message)
    if not found and not message.isdecimal():
        mailboxes = chosen_mailboxes(settings, mailbox)
        if len(mailboxes) == 1:
            return MessageRef(mailbox=mailboxes[0], message_id=message, trigger=Trigger.OPERATOR)
    claim = claim_of(message)
    return MessageRef(mailbox=claim.mailbox, message_id=claim.message_id, trigger=Trigger.OPERATOR)
