"""Header fields as Exchange reads them: encoded words (RFC 2047) and lists of addresses (RFC 5322).

Written for hostile fields: each function takes time in proportion to the field, and none raises.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import getaddresses

_WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([BbQq])\?([^?]*)\?=")
_MARK = re.compile(r'["(<>,;:]')
_QUOTED = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)  # what follows the first quotation mark, with the last one
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,@\"]+@[^\s<>()\[\]:;,@\"]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One recipient as written; `name` falls back to the address, as in Graph."""

    name: str
    address: str


def decode_words(value: str) -> str:
    """Decode encoded words wherever they stand; a word that can't be decoded stays as written.

    Words of one charset that follow each other are decoded together: a character may be cut in two. The blanks
    between encoded words vanish.
    """
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending, charset, written = b"", "", ""
    end = 0
    for word in _WORD.finditer(value):
        between = value[end : word.start()]
        content = _word_bytes(word[2], word[3])
        follows = bool(written) and not between.strip()
        if not (follows and content is not None and word[1].lower() == charset):
            pieces.append(_decoded(pending, charset, written))
            pending, charset, written = b"", "", ""
            if not follows or content is None:
                pieces.append(between)
        if content is None:
            pieces.append(word[0])
        else:
            pending, charset, written = pending + content, word[1].lower(), written + word[0]
        end = word.end()
    return "".join((*pieces, _decoded(pending, charset, written), value[end:]))


def read_addresses(field: str) -> Iterator[Address]:
    """Yield the addresses of a field, those of groups too; names are decoded.

    Lenient as Exchange: a comma in an unquoted name does not hide the other recipients.
    """
    for item in _items(field):
        try:
            pairs = getaddresses([item], strict=False)
        except RecursionError:  # comments in comments
            pairs = [("", address) for address in _ADDRESS.findall(item)]
        for shown, address in pairs:
            if address:
                yield Address(name=decode_words(shown) or address, address=address)


def _items(field: str) -> Iterator[str]:
    """Split a field at the commas between addresses; names and ends of groups are left out."""
    last_angle = field.rfind(">")
    begin = position = 0
    angle = False
    while found := _MARK.search(field, position):
        mark, position = found[0], found.end()
        if mark == '"':
            position = _end_of_quoted(field, position)
        elif mark == "(":
            position = _end_of_comment(field, position)
        elif mark in "<>":
            angle = mark == "<" and position <= last_angle
        elif not angle:
            if mark != ":":  # the text before a colon is the name of a group
                yield field[begin : found.start()]
            begin = position
    yield field[begin:]


def _end_of_comment(field: str, position: int) -> int:
    depth = 1
    while depth and (found := _PARENTHESIS.search(field, position)):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        position = found.end()
    return len(field) if depth else position


def _end_of_quoted(field: str, position: int) -> int:
    found = _QUOTED.match(field, position)
    return found.end() if found else len(field)


def _word_bytes(encoding: str, text: str) -> bytes | None:
    if encoding in "Qq":
        return quopri.decodestring(text.replace("_", " ").encode("utf-8", "replace"), header=True)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _decoded(content: bytes, charset: str, written: str) -> str:
    try:
        return content.decode(charset) if written else ""
    except (LookupError, ValueError):
        return written
