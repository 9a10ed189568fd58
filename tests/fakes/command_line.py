"""The command line as a test sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Done:
    """The end of a command."""

    code: int
    out: str
    err: str
