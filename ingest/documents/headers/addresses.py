"""Address lists of headers (RFC 5322, 3.4 and the obsolete forms of 4.4) → addresses, for routing.

A display name, a comment, a group's name or a route is never an address. Fields are read in one pass, without
recursion, in time linear in their length. What is malformed costs its own address at most, not those behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ingest.documents.headers.encoded_words import decode_bytes

_PIECE: Final = re.compile(
    r"""
    (?P<space>[\s\0]++)
    | (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))
    | (?P<comment>\()
    | (?P<literal>\[[^\[\]<>,;"()\s]*+\])
    | (?P<word>=\?[^?\s]{1,60}\?[BbQq]\?[^?\s]*+\?=)      # an encoded word, with specials that stand in it raw
    | (?P<atom>[^\s\0()<>\[\]:;@,."]++)
    | (?P<special>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK: Final = re.compile(r"[()]|\\.", re.DOTALL)
_DOT_ATOM: Final = re.compile(r"[^\s()<>\[\]:;@,.\"\\]+(?:\.[^\s()<>\[\]:;@,.\"\\]+)*")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


def addresses(value: bytes) -> Iterator[str]:
    """Yield the addresses in one address field, in order. `value` is the field's unfolded body.

    An address is yielded as `local@domain`, as written, but for white space, comments and needless quotes. What
    has no domain, or two, is no address.
    """
    yield from _Reader(value.decode("latin-1")).addresses()


def without_comments(text: str) -> str:
    """Return `text` with a blank in the place of each comment (RFC 5322, 3.2.2)."""
    kept, position = [], 0
    while (start := text.find("(", position)) >= 0:
        kept += [text[position:start], " "]
        position = end_of_comment(text, start)
    return "".join((*kept, text[position:]))


def end_of_comment(text: str, start: int) -> int:
    """Return the position behind the comment that begins at `start`; comments nest. One without end takes the rest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        if mark[0] == "(":
            depth += 1
        elif mark[0] == ")":
            depth -= 1
            if depth == 0:
                return mark.end()
    return len(text)


@dataclass(slots=True)
class _Run:
    """Pieces without white space between them, of which one may be an address. `marks`: how many `@` are in it."""

    texts: list[str] = field(default_factory=list)
    marks: int = 0

    def address(self) -> str | None:
        """Return the address that the run is, if it is one."""
        if self.marks != 1:
            return None
        at = self.texts.index("@")
        local, domain = _plain_local("".join(self.texts[:at])), "".join(self.texts[at + 1 :])
        if not local or not domain or '"' in domain:
            return None
        return decode_bytes(f"{local}@{domain}".encode("latin-1"))


@dataclass(slots=True)
class _Reader:
    """One pass over a field. `_runs`: since the last separator; those before `<` turn out to be a display name."""

    text: str
    _runs: list[_Run] = field(default_factory=list)
    _in_angle: bool = False
    _apart: bool = True  # white space or a comment came before the next piece

    def addresses(self) -> Iterator[str]:
        for kind, piece in self._pieces():
            if kind in {"space", "comment"}:
                self._apart = True
            elif kind != "special" or piece in ".@[]":
                self._append(piece)
            else:
                yield from self._special(piece)
        yield from self._taken()

    def _pieces(self) -> Iterator[tuple[str, str]]:
        position = 0
        while (match := _PIECE.match(self.text, position)) is not None:
            kind = match.lastgroup or ""
            position = end_of_comment(self.text, position) if kind == "comment" else match.end()
            yield kind, match[0]

    def _append(self, piece: str) -> None:
        joins = piece in {".", "@"}
        if not self._runs or (self._apart and not joins and self._runs[-1].texts[-1] not in {".", "@"}):
            self._runs.append(_Run())
        run = self._runs[-1]
        run.texts.append(piece)
        run.marks += piece == "@"
        self._apart = False

    def _special(self, piece: str) -> Iterator[str]:
        if piece == ":":  # a group's name, a route, or `mailto`
            self._runs.clear()
        elif piece == "<":
            if self._in_angle:  # the one before was never closed
                yield from self._taken()
            self._runs.clear()  # a display name, even where it has an `@`
            self._in_angle = True
        elif piece == ">" or not self._is_route():
            yield from self._taken()

    def _is_route(self) -> bool:
        """Return whether a comma stands between the hosts of `<@host,@host:address>`."""
        return self._in_angle and bool(self._runs) and self._runs[0].texts[0] == "@"

    def _taken(self) -> Iterator[str]:
        runs, self._runs, self._in_angle, self._apart = self._runs, [], False, True
        yield from (address for run in runs if (address := run.address()) is not None)


def _plain_local(local: str) -> str:
    """Return a local part without quotes that it does not need (RFC 5322, 3.4.1)."""
    if '"' not in local:
        return local
    plain = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return plain if local.count('"') == len('""') and _DOT_ATOM.fullmatch(plain) else local
