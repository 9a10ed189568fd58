"""One action for many mails: each is tried, and the outcome names the mails that were not done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ingest.errors import IngestError


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The keys of the mails that were done, and of those that were left.

    `trouble`: what stood in the way of those left. `warnings`: of those done. Each text names its mails.
    """

    done: tuple[str, ...]
    left: tuple[str, ...]
    trouble: tuple[str, ...]
    warnings: tuple[str, ...]


def work_through[Mail](
    mails: Mapping[str, Mail], step: Callable[[Mail], str | None], *, names: Mapping[str, str]
) -> Batch:
    """Call `step` for each mail by its key. The trouble of one mail (IngestError) does not stop the others.

    `step` returns a warning, or None. `names`: the mails' names for people, by key.
    """
    done: list[str] = []
    left: list[str] = []
    trouble: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}
    for key, mail in mails.items():
        try:
            warning = step(mail)
        except IngestError as error:
            left.append(key)
            trouble.setdefault(str(error), []).append(names[key])
        else:
            done.append(key)
            if warning is not None:
                warnings.setdefault(warning, []).append(names[key])
    return Batch(done=tuple(done), left=tuple(left), trouble=_lines(trouble), warnings=_lines(warnings))


def _lines(said: Mapping[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{', '.join(names)}: {text}" for text, names in said.items())
