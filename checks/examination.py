"""An examination: checks in the order in which things depend on each other, and what to do where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import TracebackType
from typing import Self

from ingest import log, wiring
from ingest.errors import IngestError
from ingest.settings import Settings
from ingest.wiring import App


class Status(StrEnum):
    """The end of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. `advice` says what to do, where there is something to do."""

    check: str
    status: Status
    said: str
    advice: str | None = None


class Trouble(IngestError):
    """A check found something. `warning`: the app works all the same. `advice`: in place of the check's own."""

    def __init__(self, said: str, *, warning: bool = False, advice: str | None = None) -> None:
        super().__init__(said)
        self.warning = warning
        self.advice = advice


@dataclass(kw_only=True)
class CheckContext:
    """The subject of the checks: this environment, and the adapters that were built from it."""

    environ: Mapping[str, str]
    other_mailbox: str | None = None
    _opened: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return Settings.from_env(self.environ)

    @cached_property
    def app(self) -> App:
        """Closed with the context. Raises SettingsError."""
        app = wiring.build(self.settings)
        self._opened.callback(app.close)
        return app


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check: `look` says what it found, or raises IngestError. `needs`: checks that must not have failed."""

    name: str
    look: Callable[[CheckContext], str]
    advice: str
    needs: Sequence[str] = ("settings",)


def examine(context: CheckContext, checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield each check's finding as soon as it is made. Raises nothing of a check."""
    failed: set[str] = set()
    for check in checks:
        finding = _finding(check, context, failed)
        if finding.status in {Status.FAILED, Status.SKIPPED}:
            failed.add(check.name)
        yield finding


def _finding(check: Check, context: CheckContext, failed: set[str]) -> Finding:
    missing = [name for name in check.needs if name in failed]
    if missing:
        return Finding(check=check.name, status=Status.SKIPPED, said=f"needs: {', '.join(missing)}")
    try:
        said = check.look(context)
    except Trouble as trouble:
        status = Status.WARNING if trouble.warning else Status.FAILED
        return Finding(check=check.name, status=status, said=str(trouble), advice=trouble.advice or check.advice)
    except IngestError as error:
        return Finding(check=check.name, status=Status.FAILED, said=str(error), advice=check.advice)
    except Exception as error:  # noqa: BLE001 - the other checks are wanted all the same
        return Finding(check=check.name, status=Status.FAILED, said=log.frames(error), advice=check.advice)
    return Finding(check=check.name, status=Status.OK, said=said)
