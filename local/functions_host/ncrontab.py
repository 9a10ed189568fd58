"""NCRONTAB expressions: `{second} {minute} {hour} {day} {month} {day of week}`, in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _WEEKDAYS),
)
_ITEM = re.compile(r"(?P<all>\*)?(?P<first>\w+)?(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
# 29 February comes once in eight years at worst (around 2100).
_HORIZON_DAYS = 366 * 8


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The moments that an expression names. `days` and `weekdays` must both hold, unlike in Unix cron."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def next_after(self, moment: datetime) -> datetime | None:
        """Find the first occurrence after an aware moment; None where eight years have none."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day, earliest = start.date(), start.time()
        for _ in range(_HORIZON_DAYS):
            # Sunday is 0 here and 7 in ISO.
            matches = day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays
            if matches and (found := self._first_from(earliest)) is not None:
                return datetime.combine(day, found, UTC)
            day, earliest = day + timedelta(days=1), time.min
        return None

    def interval_after(self, moment: datetime) -> timedelta | None:
        """Measure from the next occurrence to the one after it; None where there are not two."""
        first = self.next_after(moment)
        second = self.next_after(first) if first else None
        return second - first if first and second else None

    def _first_from(self, earliest: time) -> time | None:
        for hour in self.hours:
            if hour < earliest.hour:
                continue
            for minute in self.minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    candidate = time(hour, minute, second)
                    if candidate >= earliest:
                        return candidate
        return None


def parse(expression: str) -> Schedule:
    """Read an expression of six fields, or of five (then at second 0).

    Raises ValueError, naming the field that is wrong.
    """
    fields = expression.split()
    if len(fields) == len(_FIELDS) - 1:
        fields = ["0", *fields]
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{expression!r} is not an NCRONTAB expression, which has six fields: "
            "{second} {minute} {hour} {day} {month} {day of week}"
        )
    values = [_field(text, *field) for text, field in zip(fields, _FIELDS, strict=True)]
    second, minute, hour, day, month, weekday = values
    return Schedule(seconds=second, minutes=minute, hours=hour, days=day, months=month, weekdays=weekday)


def _field(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> tuple[int, ...]:
    def number(word: str) -> int:
        if word[:3].lower() in names:
            return names.index(word[:3].lower()) + least
        if not word.isdecimal() or not least <= int(word) <= most:
            raise ValueError(f"{word!r} in the field {name} must be from {least} to {most}")
        return int(word)

    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None or bool(match["all"]) == bool(match["first"]) or (match["all"] and match["last"]):
            raise ValueError(f"{item!r} can't be read in the field {name}")
        first = least if match["all"] else number(match["first"])
        # `5/10` counts from 5 to the end, `5` alone is just that.
        end = most if match["all"] or match["step"] else first
        last = number(match["last"]) if match["last"] else end
        step = int(match["step"] or 1)
        if last < first or step < 1:
            raise ValueError(f"{item!r} in the field {name} covers nothing")
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))
