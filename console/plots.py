"""Plots as SVG, drawn on the server: no script, no third party. Colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 160
LEFT, BOTTOM, TOP = 44, 22, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line or set of bars: a name, a class of the style sheet, values (None leaves a gap)."""

    name: str
    style: str
    values: Sequence[float | None]


def bars(labels: Sequence[str], series: Series, *, title: str) -> str:
    """Return bars over time as an SVG element; each bar says its value to a pointer and to a screen reader."""
    top = _round_up(max((value or 0 for value in series.values), default=0))
    step = (WIDTH - LEFT) / max(1, len(labels))
    drawn = [
        f'<rect class="{series.style}" x="{LEFT + index * step + 1:.1f}" y="{_y(value, top):.1f}" '
        f'width="{max(1.0, step - 2):.1f}" height="{_y(0, top) - _y(value, top):.1f}">'
        f"<title>{escape(label)}: {value:g}</title></rect>"
        for index, (label, value) in enumerate(zip(labels, series.values, strict=True))
        if value
    ]
    return _frame(labels, top, drawn, title)


def lines(labels: Sequence[str], many: Sequence[Series], *, title: str) -> str:
    """Return lines over time as an SVG element, with a mark at each value."""
    top = _round_up(max((value or 0 for series in many for value in series.values), default=0))
    step = (WIDTH - LEFT) / max(1, len(labels))
    drawn: list[str] = []
    for series in many:
        points = [
            (LEFT + (index + 0.5) * step, _y(value, top), labels[index], value)
            for index, value in enumerate(series.values)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        drawn.append(f'<polyline class="{series.style}" points="{path}"/>')
        drawn += [
            f'<circle class="{series.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
            f"<title>{escape(series.name)}, {escape(label)}: {value:g}</title></circle>"
            for x, y, label, value in points
        ]
    return _frame(labels, top, drawn, title)


def _frame(labels: Sequence[str], top: float, drawn: Sequence[str], title: str) -> str:
    axis = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{_y(share * top, top):.1f}" y2="{_y(share * top, top):.1f}"/>'
        f'<text class="axis" x="{LEFT - 6}" y="{_y(share * top, top) + 4:.1f}" text-anchor="end">{share * top:g}</text>'
        for share in (0, 0.5, 1)
    ]
    every = max(1, len(labels) // 6)
    step = (WIDTH - LEFT) / max(1, len(labels))
    below = [
        f'<text class="axis" x="{LEFT + (index + 0.5) * step:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(label)}</text>"
        for index, label in enumerate(labels)
        if index % every == 0
    ]
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(axis)}{''.join(drawn)}{''.join(below)}</svg>"
    )


def _y(value: float | None, top: float) -> float:
    share = (value or 0) / top if top else 0
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _round_up(value: float) -> float:
    """Return the next number of 1, 2 or 5 times a power of ten."""
    size = 1.0
    while size * 10 <= value:
        size *= 10
    return next((size * factor for factor in (1, 2, 5, 10) if size * factor >= value), size * 10)
