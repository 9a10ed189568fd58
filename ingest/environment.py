"""Single settings of the environment, each of one type; the problems of all of them come in one message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from urllib.parse import urlsplit

from ingest.errors import SettingsError

MAX_DAYS = 36_500  # of a retention period


class Environment:
    """A reader of environment variables. A wrong one is noted, and read as its default or as empty."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def raise_problems(self) -> None:
        """Raise SettingsError that names all problems, where there is one."""
        if self._problems:
            raise SettingsError(self._problems)

    def wrong(self, name: str, problem: str) -> None:
        """Note a problem of a setting."""
        self._problems.append(f"{name} {problem}")

    def optional(self, name: str) -> str | None:
        """Return a text without blanks around it, None where the setting is empty."""
        return self._environ.get(name, "").strip() or None

    def required(self, name: str) -> str:
        """Return a text; a problem where the setting is empty."""
        value = self.optional(name)
        if value is None:
            self.wrong(name, "is missing")
        return value or ""

    def items(self, name: str) -> tuple[str, ...]:
        """Return the texts that commas separate."""
        return tuple(item.strip() for item in (self.optional(name) or "").split(",") if item.strip())

    def required_items(self, name: str) -> tuple[str, ...]:
        """Return the texts that commas separate; a problem where there is none."""
        items = self.items(name)
        if not items:
            self.wrong(name, "is missing")
        return items

    def url(self, name: str, default: str) -> str:
        """Return an https URL without a slash at its end."""
        url = (self.optional(name) or default).rstrip("/")
        if not is_url(url, "https"):
            self.wrong(name, "must be an https:// URL without a query")
        return url

    def choice[Choice: StrEnum](self, name: str, default: Choice) -> Choice:
        """Return one of the values of the default's type, in any case of letters."""
        choices = type(default)
        value = self.optional(name)
        if value is None:
            return default
        if value.lower() not in set(choices):
            self.wrong(name, f"must be one of {', '.join(choices)}")
            return default
        return choices(value.lower())

    def day(self, name: str) -> date | None:
        """Return a date, None where the setting is empty."""
        value = self.optional(name)
        try:
            return date.fromisoformat(value) if value else None
        except ValueError:
            self.wrong(name, "must be a date such as 2027-01-31")
            return None

    def days(self, name: str) -> int | None:
        """Return a number of days, None where the setting is empty."""
        value = self.optional(name)
        if value is None:
            return None
        if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:9]) <= MAX_DAYS:
            self.wrong(name, f"must be a number of days from 1 to {MAX_DAYS}")
            return None
        return int(value)

    def number(self, name: str, default: float, *, at_least: float) -> float:
        """Return a finite number of `at_least` or more."""
        value = self.optional(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not at_least <= number < float("inf"):
            self.wrong(name, f"must be a number, at least {at_least:g}")
            return default
        return number


def is_url(text: str, *schemes: str) -> bool:
    """Return whether the text is an absolute URL of one of these schemes, without query and fragment."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment
