"""The page's texts in English and German, and the choice between both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

LANGUAGES = ("en", "de")
NOTHING = "\N{EN DASH}"  # in the place of a value that there is not
COOKIE = "console_language"
_FOLDER = Path(__file__).parent / "texts"
_BERLIN = ZoneInfo("Europe/Berlin")
_UNITS = ((86_400 * 365, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return every text of a language by its key."""
    loaded: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


def choose_language(accept_language: str, chosen: str | None) -> str:
    """Return the language a person has chosen, else the first one of the browser that there is, else English."""
    if chosen in LANGUAGES:
        return chosen
    for item in accept_language.split(","):
        language = item.partition(";")[0].strip().lower()[:2]
        if language in LANGUAGES:
            return language
    return "en"


class Words:
    """The texts, dates, numbers and sizes of one language, for templates."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = texts(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of a key with its values filled in. A key that a newer record brings is shown as is."""
        text = self._texts.get(key)
        return key.rpartition(".")[2] if text is None else text.format(**values) if values else text

    def time(self, at: datetime | None) -> str:
        """Return a time in Berlin, to the second."""
        if at is None:
            return NOTHING
        form = "%d.%m.%Y %H:%M:%S" if self.language == "de" else "%Y-%m-%d %H:%M:%S"
        return at.astimezone(_BERLIN).strftime(form)

    def age(self, at: datetime | None, now: datetime | None = None) -> str:
        """Return the time since `at`, in the largest unit."""
        if at is None:
            return NOTHING
        return self.duration(((now or datetime.now(UTC)) - at).total_seconds())

    def duration(self, seconds: float | None) -> str:
        """Return a duration in its largest unit."""
        if seconds is None:
            return NOTHING
        for size, unit in _UNITS:
            if seconds >= size:
                return self(f"unit.{unit}", count=int(seconds // size))
        return self("unit.moment")

    def number(self, value: float) -> str:
        """Return a number with the language's thousands separator."""
        text = f"{value:,}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "de" else text

    def size(self, count: int | None) -> str:
        """Return a number of bytes in the unit that fits."""
        if count is None:
            return NOTHING
        value, unit = float(count), "B"
        for unit in ("B", "KB", "MB", "GB"):
            if value < 1000 or unit == "GB":  # noqa: PLR2004 - decimal units
                break
            value /= 1000
        return f"{self.number(round(value, 1) if unit != 'B' else int(value))} {unit}"
