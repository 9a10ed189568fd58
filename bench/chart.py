"""Results as a picture: bars of mails a second, as SVG."""

import json
import sys
from html import escape
from pathlib import Path

from bench.report import latest
from local.processes import ROOT

CHART = ROOT / "docs" / "performance.svg"
_WIDTH, _LEFT, _BAR, _GAP, _TOP = 860, 300, 26, 14, 64
_OURS, _OTHERS, _LIMIT = "#1b6ec2", "#9aa5b1", "#d9dee4"


def draw(results: Path) -> Path:
    """Draw one run into docs/ and return the file."""
    run = json.loads(results.read_text(encoding="utf-8"))
    values = {row["name"]: row["values"] for row in run["rows"]}

    bars = [
        ("rival, as the library comes", values["rival"]["paced"], _OTHERS),
        ("rival, its waits turned off", values["rival"]["unpaced"], _OTHERS),
        ("ours, by webhook", values["webhook"]["rate"], _OURS),
        ("ours, a backlog by sweep", values["backlog"]["rate"], _OURS),
        ("what Outlook allows, one mailbox", values["limit"]["figure"], _LIMIT),
        ("ours, four mailboxes, four processes", values["four"]["rate"], _OURS),
    ]
    CHART.write_text(_svg(bars, run), encoding="utf-8")
    return CHART.relative_to(ROOT)


def _svg(bars: list[tuple[str, float, str]], run: dict[str, object]) -> str:
    height = _TOP + len(bars) * (_BAR + _GAP) + 16
    scale = (_WIDTH - _LEFT - 90) / max(rate for _, rate, _ in bars)
    note = (
        f"{str(run['measured_at'])[:10]}, {run['cores']} cores for everything, simulator included; "
        f"{float(str(run['latency_milliseconds'])):g} ms for every request to Graph"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="14" role="img" aria-label="Mails a second">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="17" font-weight="bold">Mails a second, each with a PDF of 100 KB</text>',
        f'<text x="16" y="47" fill="#555" font-size="12">{escape(note)}</text>',
    ]
    for index, (label, rate, colour) in enumerate(bars):
        y = _TOP + index * (_BAR + _GAP)
        lines += [
            f'<text x="{_LEFT - 12}" y="{y + 18}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{rate * scale:.1f}" height="{_BAR}" fill="{colour}" rx="2"/>',
            f'<text x="{_LEFT + rate * scale + 8:.1f}" y="{y + 18}">{rate:.1f}</text>',
        ]
    return "\n".join([*lines, "</g>", "</svg>", ""])


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else latest()))
