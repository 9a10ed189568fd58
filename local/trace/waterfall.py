"""`python -m local trace`: one mail through the running system, every call with its time, as a picture and a table."""

import json
import smtplib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from local.stack import Stack, empty
from local.tenants import upload_address
from local.terminal import console, step
from local.trace.recorder import FILE

_COLOURS = {"graph": "#1b6ec2", "blob": "#2f9e6e", "sql": "#b7791f", "queue": "#7a5195"}
_LAST = "queue.delete"  # the host settles the queue message when the app is done
_PATIENCE = 60.0
_WIDTH, _LEFT, _ROW, _TOP = 960, 230, 20, 70


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call; both times in milliseconds from the first one's beginning."""

    name: str
    began: float
    ended: float


def trace_one_mail(data: Path, *, latency: float, picture: Path) -> int:
    """Run it in the directory `data`, which is emptied first; the exit code."""
    empty(data)
    data.mkdir(parents=True, exist_ok=True)
    file = data.absolute() / "trace.jsonl"
    file.touch()
    arguments = ["--plugin", "local.trace.recorder:record"]
    with Stack(data, step=step, settings={FILE: str(file)}, host_arguments=arguments) as stack:
        tenant = stack.add_tenant("Tischlerei Südhang")
        stack.admin.set_latency(latency)
        with step("Warming up"):
            for _ in range(3):
                _through(stack, tenant.token, file)
        with step("One mail"):
            calls = _through(stack, tenant.token, file)
    _show(calls, latency)
    picture.write_text(draw(calls, latency), encoding="utf-8")
    console.print(f"As a picture: {picture}")
    return 0


def _through(stack: Stack, token: str, file: Path) -> list[Call]:
    """Send a mail with one PDF over SMTP and wait until nothing is left to be done for it."""
    before = len(_lines(file))
    assert stack.simulator is not None  # noqa: S101 - this stack has one
    with smtplib.SMTP(stack.simulator.smtp_host, stack.simulator.smtp_port) as smtp:
        smtp.sendmail("rechnung@lieferant.example", [upload_address(token)], _mail(token))
    deadline = time.monotonic() + _PATIENCE
    while True:
        lines = _lines(file)[before:]
        if any(line["call"] == _LAST and line["phase"] == "after" for line in lines):
            return _calls(lines)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the mail is not through after {_PATIENCE:.0f} s; see {stack.data}/*.log")
        time.sleep(0.1)


def _mail(token: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "Rechnungen <rechnung@lieferant.example>"
    mail["To"] = upload_address(token)
    mail["Subject"] = "Rechnung"
    mail.set_content("Anbei.\n")
    mail.add_attachment(b"%PDF-1.7\n" + bytes(100_000), maintype="application", subtype="pdf", filename="Rechnung.pdf")
    return mail.as_bytes()


def _lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _calls(lines: Sequence[dict[str, object]]) -> list[Call]:
    """Beginnings with their ends: calls of one thread lie within each other, those of a queue only follow."""
    began: dict[tuple[object, object], float] = {}
    calls = []
    for line in lines:
        key, at = (line["thread"], line["call"]), float(str(line["at"]))
        if line["phase"] == "before":
            began[key] = at
        elif key in began:
            calls.append((str(line["call"]), began.pop(key), at))
    # The queue is asked for more all the time; only what belongs to a mail is shown.
    calls = [call for call in calls if call[0] != "queue.get"]
    start = min(call[1] for call in calls)
    return sorted(
        (Call(name=name, began=1000 * (one - start), ended=1000 * (other - start)) for name, one, other in calls),
        key=lambda call: call.began,
    )


def _show(calls: Iterable[Call], latency: float) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"One mail, {latency:g} ms for every request to Graph")
    table.add_column("Call")
    for heading in ("from ms", "to ms", "ms"):
        table.add_column(heading, justify="right")
    for call in calls:
        table.add_row(call.name, f"{call.began:.1f}", f"{call.ended:.1f}", f"{call.ended - call.began:.1f}")
    console.print(table)


def draw(calls: Sequence[Call], latency: float) -> str:
    """The waterfall as SVG."""
    end = max(call.ended for call in calls)
    scale = (_WIDTH - _LEFT - 70) / end
    height = _TOP + _ROW * len(calls) + 16
    title = f"One mail with a PDF of 100 KB by webhook: {end:.0f} ms, of which each request to Graph takes {latency:g}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="12" role="img" aria-label="Every call of one mail with its time">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="bold">{title}</text>',
    ]
    for index, (system, colour) in enumerate(_COLOURS.items()):
        lines.append(f'<text x="{16 + 90 * index}" y="50" fill="{colour}" font-weight="bold">{system}</text>')
    for index, call in enumerate(calls):
        y = _TOP + _ROW * index
        x, width = _LEFT + call.began * scale, max(1.5, (call.ended - call.began) * scale)
        colour = _COLOURS.get(call.name.partition(".")[0], "#555555")
        lines += [
            f'<text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(call.name)}</text>',
            f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}" fill="{colour}"/>',
            f'<text x="{x + width + 5:.1f}" y="{y + 13}" fill="#555">{call.ended - call.began:.1f}</text>',
        ]
    return "\n".join([*lines, "</g>", "</svg>", ""])
