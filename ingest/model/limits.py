"""The limits of unpacking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of unpacking the containers in one mail.

    `depth`: containers in each other, the outermost one counted. `parts`: inside of containers, in the whole mail.
    `expanded_bytes`: what they may expand to, in the whole mail. `ratio`: how many times its own size a
    container may expand to. `processor_seconds` and `wall_seconds`: for taking the mail apart, transfers not counted.
    """

    depth: int = 8
    parts: int = 1000
    expanded_bytes: int = 256 * 1024 * 1024
    ratio: float = 200.0
    processor_seconds: float = 4.0
    wall_seconds: float = 120.0
