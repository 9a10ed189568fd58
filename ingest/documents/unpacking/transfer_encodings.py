"""Content without its transfer encoding (RFC 2045, 6; uuencode and yEnc besides), block by block.

What is encoded badly is read to where it breaks off. An encoding of an unknown name is read as none.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ingest.documents.headers.encoded_words import NOT_BASE64

LINE: Final = 64 * 1024  # bytes of one line; a longer one comes in several
_PADDING: Final = re.compile(rb"=+")
_BASE64_LINE: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_LENGTH_OF_ESCAPE: Final = 3  # =4F
_UU_BEGIN: Final = re.compile(rb"begin[ \t]+[0-7]{3,4}[ \t]+([^\r\n]{1,1000})")
_UU_FIRST, _UU_LAST = 0x20, 0x60  # a line begins with its length, as one of these characters
_EMBEDDED: Final = re.compile(
    rb"(?<=\n)(?:begin[ \t]+[0-7]{3,4}[ \t]+(?P<uu>[^\r\n]{1,1000})\r?\n(?P<data>[!-`][ -`]{0,86})\r?\n"
    rb"|=ybegin [^\r\n]{0,500}?name=(?P<yenc>[^\r\n]{1,1000})\r?\n)"
)
_WINDOW: Final = 2048  # bytes in which the first lines of an embedded file have room
_YENC_BEGIN: Final = re.compile(rb"=ybegin [^\r\n]{0,500}?name=([^\r\n]{1,1000})")
_YENC_ESCAPED: Final = re.compile(rb"=(.)", re.DOTALL)
_YENC_MINUS_42: Final = bytes((octet - 42) % 256 for octet in range(256))
_YENC_MINUS_64: Final = bytes((octet - 64) % 256 for octet in range(256))

type Blocks = Iterable[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """A file that stands in a text between lines of its own. `start`: the offset of its first line in the text."""

    name: bytes
    start: int
    decode: Callable[[Blocks], Iterator[bytes]]


def decode(encoding: str, encoded: Iterator[bytes]) -> Iterator[bytes]:
    """Return the content of a part. `encoding`: the value of Content-Transfer-Encoding, in any spelling."""
    words = re.split(r"[\s;(]", encoding.strip().strip("\"'").lower(), maxsplit=1)
    match words[0].removeprefix("x-"):
        case "base64" | "base-64":
            return _decode_base64(encoded)
        case "quoted-printable" | "quotedprintable":
            return _decode_quoted_printable(encoded)
        case "uuencode" | "uuencoded" | "uue" | "uu":
            return _from_begin(encoded, _UU_BEGIN, decode_uu)
        case "yencode" | "yenc":
            return _from_begin(encoded, _YENC_BEGIN, decode_yenc)
        case _:
            return encoded


def find_embedded(text: Blocks, *, at_most: int) -> list[Embedded]:
    """Return the uuencoded and yEnc files in a text, in its order; one more than `at_most` where there are more."""
    found: list[Embedded] = []
    window, position, start = b"\n", 0, -1  # `start`: the window's offset in the text; searched up to `position`
    for block in _gathered(text):
        window += block
        while (match := _EMBEDDED.search(window, position)) is not None:
            position = match.end() - 1  # with the line break behind the first lines
            if match["yenc"] is not None:
                found.append(Embedded(name=match["yenc"], start=start + match.start(), decode=decode_yenc))
            elif _is_uu_line(match["data"]):
                found.append(Embedded(name=match["uu"], start=start + match.start(), decode=decode_uu))
            if len(found) > at_most:
                return found
        passed = max(0, len(window) - _WINDOW)
        window, position, start = window[passed:], max(0, position - passed), start + passed
    return found


def _gathered(text: Blocks) -> Iterator[bytes]:
    """Return the text in blocks that are larger than the window: decoded lines may be of one byte each."""
    gathered = bytearray()
    for block in text:
        gathered += block
        if len(gathered) >= 8 * _WINDOW:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def decode_uu(text: Blocks) -> Iterator[bytes]:
    """Return the file that begins with the first line of `text`."""
    lines = _lines(text)
    next(lines, None)
    for line in lines:
        plain = line.rstrip(b"\r\n")
        if plain.strip() in {b"", b"`", b"end"}:
            if plain.strip() == b"end":
                return
            continue
        if not _UU_FIRST <= plain[0] <= _UU_LAST:
            return
        # A line's length counts, not its end: blanks may have been cut off, a check character added.
        length = (plain[0] - _UU_FIRST) & 0x3F
        digits = plain[1 : 1 + (length + 2) // 3 * 4].ljust((length + 2) // 3 * 4)
        try:
            yield binascii.a2b_uu(plain[:1] + digits)
        except binascii.Error:
            return


def decode_yenc(text: Blocks) -> Iterator[bytes]:
    """Return the file that begins with the first line of `text` (http://www.yenc.org/yenc-draft.1.3.txt)."""
    lines = _lines(text)
    next(lines, None)
    held = b""  # an escape that a cut line has divided
    for line in lines:
        if line.startswith(b"=ypart ") and not held:
            continue
        if line.startswith(b"=yend") and not held:
            return
        plain = held + line.rstrip(b"\r\n")
        held = b"="[: plain.endswith(b"=")]
        plain = _YENC_ESCAPED.sub(lambda match: match[1].translate(_YENC_MINUS_64), plain[: len(plain) - len(held)])
        yield plain.translate(_YENC_MINUS_42)


def _is_uu_line(line: bytes) -> bool:
    """Return whether the line is as long as its first character says; blanks at its end may be missing."""
    digits = (((line[0] - _UU_FIRST) & 0x3F) + 2) // 3 * 4
    return len(line.rstrip()) <= 1 + digits + len(b"\0")  # some programs add a check character


def _from_begin(
    encoded: Iterator[bytes], begin: re.Pattern[bytes], decode_file: Callable[[Blocks], Iterator[bytes]]
) -> Iterator[bytes]:
    """Pass over the lines in front of the file. What has no such line is returned as it is."""
    passed = list[bytes]()
    lines = _lines(encoded)
    for line in lines:
        passed.append(line)
        if begin.match(line) is not None:
            yield from decode_file(_chain(line, lines))
            return
        if len(passed) > 100:  # noqa: PLR2004 - lines of a preface
            break
    yield from passed
    yield from lines


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines(blocks: Blocks) -> Iterator[bytes]:
    """Return the lines with their ends; a line longer than LINE comes in several."""
    rest = b""
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from (line + b"\n" for line in lines)
        while len(rest) >= LINE:
            yield rest[:LINE]
            rest = rest[LINE:]
    if rest:
        yield rest


def _decode_base64(encoded: Iterator[bytes]) -> Iterator[bytes]:
    digits = bytearray()
    for block in encoded:
        position = 0
        while (pads := _next_padding(block, position)) is not None:
            digits += block[position : pads.start()].translate(None, NOT_BASE64)
            missing = -len(digits) % 4
            cut = pads.end() == len(block)  # the other half of the padding may stand in the next block
            if missing == 1 or (missing == 2 and (cut or pads.end() - pads.start() > 1)):  # noqa: PLR2004 - it fits
                yield binascii.a2b_base64(digits + b"=" * missing)
                yield from _further_base64(block[pads.start() + missing :], encoded)
                return
            position = pads.end()
        digits += block[position:].translate(None, NOT_BASE64)
        whole = len(digits) - len(digits) % 4
        yield binascii.a2b_base64(digits[:whole])
        del digits[:whole]
    if len(digits) % 4 == 1:  # a single digit left over carries no byte
        del digits[-1:]
    yield binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _next_padding(block: bytes, position: int) -> re.Match[bytes] | None:
    """Return the next padding from `position` on. `find` passes over digits many times faster than a pattern."""
    start = block.find(b"=", position)
    return _PADDING.match(block, start) if start >= 0 else None


def _further_base64(block: bytes, encoded: Iterator[bytes]) -> Iterator[bytes]:
    """Decode what stands behind the padding: more of the same where some program joined pieces, a footer never."""
    for line in _lines(_chain(block, encoded)):
        plain = line.strip()
        if _BASE64_LINE.fullmatch(plain) is None:
            return
        yield binascii.a2b_base64(plain)


def _decode_quoted_printable(encoded: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for block in encoded:
        text = left + block
        cut = text.rfind(b"\n") + 1  # nothing spans a line break but the mark in front of it
        if cut == 0 and len(text) > LINE:
            cut = text.rfind(b"=", -_LENGTH_OF_ESCAPE + 1) if b"=" in text[-_LENGTH_OF_ESCAPE + 1 :] else len(text)
        yield binascii.a2b_qp(text[:cut])
        left = text[cut:]
    yield binascii.a2b_qp(left)
