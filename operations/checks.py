"""The checks of `doctor`: the app's own, and the database as only an operator's machine can judge it."""

from __future__ import annotations

from checks import app
from checks.examination import Check, CheckContext, Trouble
from operations.inspection import Inspection
from operations.schema import migrations


def _database(context: CheckContext) -> str:
    current, known = _inspection(context).schema_version(), migrations.names()
    if current is None:
        raise Trouble("no migration is applied")
    if current not in known:
        raise Trouble(f"the database is at {current}: it was migrated by a newer version")
    missing = known[known.index(current) + 1 :]
    if missing:
        raise Trouble(f"the database is at {current}; missing: {', '.join(missing)}")
    if _inspection(context).has_mail_accounts():
        raise Trouble("ready; the DMS's old mail accounts are still there, until it has switched", warning=True)
    return f"at {current}"


def _role(context: CheckContext) -> str:
    powers = _inspection(context).excess_powers()
    if powers:
        raise Trouble(f"the role in INGEST_DATABASE_URL {'; '.join(powers)}")
    return "has what ingest_app has, and nothing else"


def _inspection(context: CheckContext) -> Inspection:
    """Return the database as the app sees it."""
    return Inspection(context.settings.database_url)


_DATABASE = (
    Check(
        name="database version",
        look=_database,
        advice="Run: python -m ingest migrate, as the owner; or deploy the version that the database is for.",
    ),
    Check(
        name="database role",
        look=_role,
        advice="Use a login that is a member of ingest_app and of nothing else (docs/operations.md).",
    ),
)
# Before the checks on mails: mails are looked for where everything else is well.
_MAILS = next(place for place, check in enumerate(app.CHECKS) if check.name == "failing mails")
CHECKS: tuple[Check, ...] = (*app.CHECKS[:_MAILS], *_DATABASE, *app.CHECKS[_MAILS:])
