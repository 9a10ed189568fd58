"""The overview: the figures of the entrance as cards and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from console import plots
from console.language import Words
from operations.figures import Figures

OLD_SECONDS = 15 * 60  # a mail that is not done after this long is a warning


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A figure of the overview: its key in the texts, its value in words, its style."""

    key: str
    value: str
    style: str = ""


def cards(seen: Figures, words: Words) -> list[Card]:
    """Return the figures of the entrance now."""
    health, quarantined = seen.health, sum(seen.reasons.values())
    late = health.oldest_seconds is not None and health.oldest_seconds > OLD_SECONDS
    return [
        Card(key="oldest", value=words.duration(health.oldest_seconds), style="bad" if late else "good"),
        Card(key="open", value=words.number(health.open)),
        Card(key="quarantined", value=words.number(quarantined), style="warn" if quarantined else "good"),
        Card(key="held", value=words.number(health.held), style="warn" if health.held else "good"),
        Card(key="last_stored", value=words.age(health.last_stored_at)),
        Card(key="last_notified", value=words.age(health.last_notified_at)),
        Card(key="last_swept", value=words.age(health.last_swept_at)),
    ]


def drawings(seen: Figures, words: Words) -> list[dict[str, Any]]:
    """Return the plots: title, SVG, legend."""
    labels = [words.time(hour.at)[-8:-3] for hour in seen.hours]
    hourly = plots.Series(name=words("overview.mails"), style="mails", values=[hour.mails for hour in seen.hours])
    p50 = plots.Series(name=words("overview.p50"), style="p50", values=[hour.p50_seconds for hour in seen.hours])
    p99 = plots.Series(name=words("overview.p99"), style="p99", values=[hour.p99_seconds for hour in seen.hours])
    reasons = [words(f"reason.{reason}") for reason in seen.reasons]
    by_reason = plots.Series(name="", style="reasons", values=list(seen.reasons.values()))
    drawn = [
        _plot(words("overview.hourly"), lambda title: plots.bars(labels, hourly, title=title)),
        _plot(
            words("overview.latency"),
            lambda title: plots.lines(labels, [p50, p99], title=title),
            legend=(("p50", p50.name), ("p99", p99.name)),
        ),
    ]
    if reasons:
        drawn.append(_plot(words("overview.reasons"), lambda title: plots.bars(reasons, by_reason, title=title)))
    return drawn


def _plot(title: str, draw: Callable[[str], str], legend: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    return {"title": title, "svg": Markup(draw(title)), "legend": legend}  # noqa: S704 - drawn by plots.py, which escapes
