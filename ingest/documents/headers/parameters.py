"""Values of Content-Type and Content-Disposition with their parameters (RFC 2045, 2183, 2231).

Broken values are read as mail programs read them: blanks in a value without quotes, quotes that never close, encoded
words where RFC 2231 is due, the pieces of a value in any order. Time is linear in the length of the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from ingest.documents.headers.addresses import end_of_comment
from ingest.documents.headers.encoded_words import decode_bytes, decode_charset, decode_words

MAX_VALUE: Final = 64 * 1024  # bytes of a field that are read
MAX_PIECES: Final = 1000  # pieces that one value may come in

_PIECE: Final = re.compile(
    r"""
    (?P<quoted>"(?P<inner>(?:[^"\\]|\\.)*+)(?:"|\\?\Z))
    | (?P<comment>\()
    | (?P<end>;)
    | (?P<text>[^"(;]++)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r'\\(["\\])')  # other backslashes are those of Windows paths
_NAME: Final = re.compile(r"(?P<base>[^*]+)(?:\*(?P<number>\d{1,4}))?(?P<encoded>\*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parametrised:
    """A field's main value in lower case, and its parameters by their names in lower case.

    A parameter's value is the bytes as written; `text` decodes them. Of a parameter that comes twice, the first counts.
    """

    main: str = ""
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)  # one character a byte

    def octets(self, name: str) -> bytes | None:
        """Return a parameter as bytes, its pieces put together, without its charset; None if there is none."""
        value = self.raw.get(name)
        if value is not None:
            return value.encode("latin-1")
        joined = self._joined(name)
        return None if joined is None else joined[1]

    def text(self, name: str) -> str | None:
        """Return a parameter as text, decoded as far as possible; empty if broken, None if there is none."""
        value = self.raw.get(name)
        joined = self._joined(name)
        if joined is not None:  # RFC 6266, 4.3: the encoded form is the better one where there are both
            charset, octets = joined
            return decode_words(decode_charset(octets, charset) if charset else decode_bytes(octets))
        if value is None:  # a name that cannot be read is a name
            return "" if any(written.startswith(f"{name}*") for written in self.raw) else None
        return decode_words(decode_bytes(value.encode("latin-1")))

    def _joined(self, name: str) -> tuple[str, bytes] | None:
        """Return charset and bytes of a value that is encoded, or comes in pieces (RFC 2231, 3 and 4)."""
        if f"{name}*" in self.raw:
            return _decoded(self.raw[f"{name}*"])
        charset, octets = "", bytearray()
        for number in range(MAX_PIECES):
            encoded, plain = self.raw.get(f"{name}*{number}*"), self.raw.get(f"{name}*{number}")
            if encoded is not None and number == 0:
                charset, first = _decoded(encoded)
                octets += first
            elif encoded is not None:
                octets += unquote_to_bytes(encoded.encode("latin-1"))
            elif plain is not None:
                octets += plain.encode("latin-1")
            elif number > 0:
                return charset, bytes(octets)
            elif f"{name}*1" not in self.raw and f"{name}*1*" not in self.raw:
                return None  # some programs count from one
        return charset, bytes(octets)


def parse_parameters(value: bytes) -> Parametrised:
    """Return the main value and the parameters of an unfolded field body."""
    pieces = _sections(value[:MAX_VALUE].decode("latin-1"))
    main = next(pieces, "").strip().lower()
    raw: dict[str, str] = {}
    for section in pieces:
        name, equals, written = section.partition("=")
        name = name.strip().lower()
        if equals and name:
            raw.setdefault(_canonical(name), _unquoted(written.strip()))
    return Parametrised(main=main, raw=raw)


def _sections(text: str) -> Iterator[str]:
    """Split at semicolons outside of quotes, and leave comments out."""
    section, position, in_value = list[str](), 0, False
    while (piece := _PIECE.match(text, position)) is not None:
        position = piece.end()
        if piece.lastgroup == "end":
            yield "".join(section)
            section, in_value = [], False
        elif piece["comment"] and not in_value:
            position = end_of_comment(text, piece.start())
        else:
            section.append(piece[0])
            # A file name without quotes may have parentheses, "Rechnung (2).pdf": they are no comment.
            in_value = in_value or (piece.lastgroup == "text" and "=" in piece[0])
    yield "".join(section)


def _unquoted(written: str) -> str:
    if not written.startswith('"'):
        return written
    quoted = _PIECE.match(written)
    return _ESCAPED.sub(r"\1", quoted["inner"]) if quoted and quoted["inner"] is not None else written


def _canonical(name: str) -> str:
    """Return the name with the number of its piece as RFC 2231 writes it, without leading zeros."""
    match = _NAME.fullmatch(name)
    if match is None or match["number"] is None:
        return name
    return f"{match['base']}*{int(match['number'])}{match['encoded'] or ''}"


def _decoded(value: str) -> tuple[str, bytes]:
    """Return charset and bytes of `charset'language'percent-encoded`; the charset is empty where none is named."""
    charset, quote, rest = value.partition("'")
    language, second, encoded = rest.partition("'")
    if not quote or not second or " " in charset or len(language) > len("sr-Latn-RS-x-private"):
        return "", unquote_to_bytes(value.encode("latin-1"))
    return charset.strip(), unquote_to_bytes(encoded.encode("latin-1"))
