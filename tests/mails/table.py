"""The readable table beside each sample: one line for each part of the mail, and what has to become of it."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

HEADINGS = ("#", "in", "disposition", "rule", "name", "declared type", "detected type", "flags", "bytes", "sha256")
_LONGEST_NAME = 60  # characters shown of a name; the rest by its hash


@dataclass(frozen=True, kw_only=True)
class Row:
    """One part. `inside`: the number of the container around it; `invoice`: what an e-invoice says, in one line."""

    position: int
    inside: int | None = None
    disposition: str
    rule: str
    name: str
    declared: str | None = None
    detected: str | None = None
    mismatch: bool = False
    encrypted: bool = False
    related: int | None = None
    size: int | None = None
    sha256: str | None = None
    invoice: str | None = None
    active: tuple[str, ...] = ()


def table(rows: Iterable[Row]) -> str:
    """The rows by their position, aligned; the same text for the same rows."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    notes: dict[int, str] = {}
    for row in sorted(rows, key=lambda row: row.position):
        if row.invoice is not None:
            notes[len(lines)] = row.invoice
        lines.append(_cells(row))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = []
    for number, line in enumerate(lines):
        text.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number in notes:
            text.append(f"      e-invoice: {notes[number]}")
    return "\n".join(text) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    flags = ["mismatch"] * row.mismatch + ["encrypted"] * row.encrypted + list(row.active)
    if row.related is not None:
        flags.append(f"→{row.related}")
    return (
        str(row.position),
        "" if row.inside is None else str(row.inside),
        row.disposition,
        row.rule,
        _name(row.name),
        row.declared or "-",
        row.detected or "-",
        ",".join(flags) or "-",
        "-" if row.size is None else str(row.size),
        "-" if row.sha256 is None else row.sha256[:12],
    )


def _name(name: str) -> str:
    """In quotes, with everything escaped that would not be seen or would turn the line around."""
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[:_LONGEST_NAME]}… ({len(name)} characters, {digest})"
    quoted = json.dumps(name, ensure_ascii=False)
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} else char
        for char in quoted
    )
