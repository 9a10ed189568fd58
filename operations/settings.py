"""The settings of the operators' side: the command line and the page. The app reads none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.environment import Environment
from ingest.settings import database_url


def owner_database_url(environ: Mapping[str, str]) -> str:
    """Return the owner's database URL: INGEST_OWNER_DATABASE_URL, or else INGEST_DATABASE_URL. Raises SettingsError."""
    return _first_set(environ, "INGEST_OWNER_DATABASE_URL")


def operator_database_url(environ: Mapping[str, str]) -> str:
    """Return the database's URL for operators: INGEST_OPERATOR_DATABASE_URL, or else as `owner_database_url`.

    Raises SettingsError.
    """
    return _first_set(environ, "INGEST_OPERATOR_DATABASE_URL", "INGEST_OWNER_DATABASE_URL")


def _first_set(environ: Mapping[str, str], *names: str) -> str:
    name = next((name for name in names if environ.get(name, "").strip()), "INGEST_DATABASE_URL")
    return database_url(environ, name)


def tenant_assertion_key(environ: Mapping[str, str]) -> str | None:
    """Return the DMS's public key in PEM for the console, None where no DMS asks.

    A line break may stand as a backslash and an n.
    """
    return environ.get("INGEST_TENANT_ASSERTION_KEY", "").replace("\\n", "\n").strip() or None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionSettings:
    """The days that things are kept; None: for ever. The running app deletes nothing by age.

    `quarantine`: mails in Quarantine since their receipt and since their move there, and the records of rejections.
    """

    mails: int | None = None
    quarantine: int | None = None
    claims: int | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> RetentionSettings:
        """Read the settings. Raises SettingsError."""
        reader = Environment(environ)
        settings = cls(
            mails=reader.days("INGEST_RETAIN_MAILS"),
            quarantine=reader.days("INGEST_RETAIN_QUARANTINE"),
            claims=reader.days("INGEST_RETAIN_CLAIMS"),
        )
        reader.raise_problems()
        return settings
