"""The overview: the figures of the entrance as cards and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from console import plots
from console.language import Words
from console.service import PlatformState
from console.text import shown
from operations.status import Examination, Status

MOST_BARS, MAX_LABEL = 6, 16  # tenants in the plot, characters of a name
OLD_SECONDS = 15 * 60  # a mail that is not done after this long is a warning


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A figure of the overview: its key in the texts, its value in words, its style."""

    key: str
    value: str
    style: str = ""


def cards(seen: Status, platform: PlatformState, words: Words) -> list[Card]:
    """Return the figures of the entrance now."""
    quarantined = sum(count.mails for count in seen.quarantine)
    late = seen.oldest_seconds is not None and seen.oldest_seconds > OLD_SECONDS
    return [
        Card(key="oldest", value=words.duration(seen.oldest_seconds), style="bad" if late else "good"),
        Card(key="open", value=words.number(seen.waiting)),
        Card(key="quarantined", value=words.number(quarantined), style="warn" if quarantined else "good"),
        Card(key="held", value=words.number(seen.held or 0)),
        Card(key="last_stored", value=words.age(seen.last_stored_at)),
        Card(key="last_notified", value=words.age(seen.last_notified_at)),
        Card(key="last_swept", value=words.age(seen.last_swept_at)),
        _subscription(platform, words),
        _queue(platform, words),
        _examination(seen.examination, words),
    ]


def _subscription(platform: PlatformState, words: Words) -> Card:
    if platform.subscriptions is None:
        return Card(key="subscription", value=words("overview.unknown"), style="warn")
    if platform.subscribed_until is None:
        return Card(key="subscription", value=words("overview.no_subscription"), style="bad")
    left = (platform.subscribed_until - datetime.now(UTC)).total_seconds()
    value = words("overview.ends_in", time=words.duration(left)) if left > 0 else words("overview.ended")
    return Card(key="subscription", value=value, style="good" if left > 0 else "bad")


def _queue(platform: PlatformState, words: Words) -> Card:
    if platform.queued is None:
        return Card(key="queue", value=words("overview.unknown"), style="warn")
    if platform.poisoned:
        value = words(
            "overview.with_poison", count=words.number(platform.queued), poison=words.number(platform.poisoned)
        )
        return Card(key="queue", value=value, style="warn")
    return Card(key="queue", value=words.number(platform.queued), style="good")


def _examination(last: Examination | None, words: Words) -> Card:
    """Return the last daily examination: the failed checks by name, else the age of a good result."""
    if last is None:
        return Card(key="examination", value=words("overview.never"), style="warn")
    if last.failed:
        return Card(key="examination", value=words("overview.failed", checks=", ".join(last.failed)), style="bad")
    key = "overview.warned" if last.warned else "overview.well"
    value = words(key, checks=", ".join(last.warned), age=words.age(last.at))
    return Card(key="examination", value=value, style="warn" if last.warned else "good")


def drawings(seen: Status, words: Words) -> list[dict[str, Any]]:
    """Return the plots: title, SVG, legend."""
    labels = [words.time(hour.at)[-8:-3] for hour in seen.hours]
    hourly = plots.Series(name=words("overview.mails"), style="mails", values=[hour.stored for hour in seen.hours])
    p50 = plots.Series(name=words("overview.p50"), style="p50", values=[hour.p50 for hour in seen.hours])
    p99 = plots.Series(name=words("overview.p99"), style="p99", values=[hour.p99 for hour in seen.hours])
    reasons = [words(f"reason.{count.reason}") for count in seen.quarantine]
    by_reason = plots.Series(name="", style="reasons", values=[count.mails for count in seen.quarantine])
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
    if seen.tenants:
        busiest = seen.tenants[:MOST_BARS]
        names = [shown(volume.tenant or volume.tenant_id)[:MAX_LABEL] for volume in busiest]
        volumes = plots.Series(name="", style="mails", values=[volume.mails for volume in busiest])
        drawn.append(_plot(words("overview.by_tenant"), lambda title: plots.bars(names, volumes, title=title)))
    return drawn


def _plot(title: str, draw: Callable[[str], str], legend: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    return {"title": title, "svg": Markup(draw(title)), "legend": legend}  # noqa: S704 - drawn by plots.py, which escapes
