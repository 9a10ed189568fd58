"""Text of headers: 8-bit bytes and RFC 2047 encoded words → characters, in any charset that a mail names.

Every input has a result: bytes that a charset cannot hold become U+FFFD. Charset labels are read as browsers read them
(https://encoding.spec.whatwg.org/#names-and-labels), since mail programs write one label and mean its superset.
Codec names of Python are never looked up by a label: some (punycode, unicode_escape) are no charsets, or slow.
"""

from __future__ import annotations

import binascii
import io
import re
from functools import cache
from typing import Final

_WORD_START: Final = re.compile(r"=\?([^?\s]{1,60})\?([BbQq])\?")
_BLANKS: Final = re.compile(r"[ \t]*+")
NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_JIS_X_0208: Final = (b"\x1b$@", b"\x1b$B")  # escape sequences of JIS X 0208, 1978 and 1983
_JIS_X_0213: Final = b"\x1b$(Q"  # its superset, which has the characters that Windows adds to row 13


def decode_bytes(raw: bytes) -> str:
    """Return 8-bit header bytes as text: UTF-8 (RFC 6532), else Windows-1252. NUL becomes U+FFFD."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = _decode(raw, "cp1252")
    return text.replace("\0", "\ufffd")


def decode_words(text: str) -> str:
    """Return `text` with every encoded word in it decoded, in time linear in its length.

    Words are decoded wherever they stand, inside of quotes too: RFC 2047 forbids it there, many programs write it.
    White space between two words is dropped (RFC 2047, 6.2); a character may be cut in two by the border of two words.
    """
    if "=?" not in text:
        return text
    decoded, position = io.StringIO(), 0
    pending, charset = bytearray(), ""  # bytes of adjacent words in one charset
    while (start := _WORD_START.search(text, position)) is not None:
        end = text.find("?=", start.end())
        if end < 0:
            break
        between = text[position : start.start()]
        adjacent = bool(charset) and not between.strip(" \t")
        if not adjacent or start[1].lower() != charset:
            decoded.write(_charset_decoded(bytes(pending), charset))
            pending.clear()
        if not adjacent:
            decoded.write(between)
        charset = start[1].lower()
        pending += _word_bytes(start[2], text[start.end() : end])
        position = end + len("?=")
    decoded.write(_charset_decoded(bytes(pending), charset))
    decoded.write(text[position:])
    return decoded.getvalue().replace("\0", "\ufffd")


def decode_charset(raw: bytes, label: str) -> str:
    """Return `raw` in the charset that a mail calls `label`; of an unknown charset as `decode_bytes`."""
    return _charset_decoded(raw, label.lower())


def _word_bytes(encoding: str, content: str) -> bytes:
    raw = content.encode("utf-8", "replace")
    if encoding in "Qq":
        return binascii.a2b_qp(raw, header=True)
    digits = raw.translate(None, NOT_BASE64)
    if len(digits) % 4 == 1:  # a single digit carries no byte
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _charset_decoded(raw: bytes, label: str) -> str:
    if not raw:
        return ""
    codec = _codec(label.partition("*")[0])  # RFC 2231, 5: a language behind the charset
    if codec is None:
        return decode_bytes(raw)
    return _decode_japanese(raw) if codec == "iso2022_jp" else _decode(raw, codec)


def _decode(raw: bytes, codec: str) -> str:
    # UTF-7 and UTF-16 decode to halves of characters, which neither a database nor a file name takes.
    return raw.decode(codec, "replace").encode("utf-8", "replace").decode()


def _decode_japanese(raw: bytes) -> str:
    """Decode ISO-2022-JP as it is written: with half-width katakana, JIS X 0212, or the additions of Windows."""
    extended = raw
    for escape in _JIS_X_0208:
        extended = extended.replace(escape, _JIS_X_0213)
    for candidate, codec in ((raw, "iso2022_jp"), (raw, "iso2022_jp_ext"), (extended, "iso2022_jp_2004")):
        try:
            return candidate.decode(codec)
        except UnicodeDecodeError:
            continue
    return _decode(raw, "iso2022_jp_ext")


# Labels without punctuation, and the Python codec that holds all that is written under them.
_CODECS: Final = {
    "utf_8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8 cp65001 utf8mb4",
    "utf_7": "utf7 unicode11utf7 csunicode11utf7",
    "utf_16": "utf16 unicode ucs2 iso10646ucs2",
    "utf_16_le": "utf16le",
    "utf_16_be": "utf16be",
    "cp1252": "usascii ascii ansix341968 isoir6 csascii iso646us iso88591 latin1 l1 csisolatin1 isoir100 ibm819 cp819",
    "cp1254": "iso88599 latin5 l5 csisolatin5 isoir148",
    "cp874": "iso885911 tis620 dos874",
    "iso8859_2": "latin2 l2 csisolatin2 isoir101",
    "iso8859_3": "latin3 l3 csisolatin3 isoir109",
    "iso8859_4": "latin4 l4 csisolatin4 isoir110",
    "iso8859_5": "cyrillic csisolatincyrillic isoir144",
    "iso8859_6": "arabic csisolatinarabic isoir127 asmo708 ecma114",
    "iso8859_7": "greek greek8 csisolatingreek isoir126 ecma118 elot928",
    "iso8859_8": "hebrew visual logical csisolatinhebrew isoir138 iso88598i iso88598e",
    "iso8859_10": "latin6 l6 csisolatin6 isoir157",
    "iso8859_15": "latin9 l9 csisolatin9",
    "gb18030": "gb18030 gb2312 gbk gb231280 chinese csgb2312 csiso58gb231280 isoir58 xgbk cp936 ms936 euccn hzgb2312",
    "big5hkscs": "big5 big5hkscs cnbig5 csbig5 xxbig5 cp950 ms950 big5eten",
    "cp932": "shiftjis sjis xsjis csshiftjis mskanji ms932 windows31j cswindows31j",
    "euc_jis_2004": "eucjp xeucjp cseucpkdfmtjapanese ujis",
    "iso2022_jp": "iso2022jp csiso2022jp iso2022jp1 iso2022jp2 iso2022jp3 iso2022jpext iso2022jpms cp50220 cp50221 jis",
    "cp949": "euckr ksc5601 ksc56011987 ksc56011989 korean cseuckr csksc56011987 isoir149 windows949 uhc ksx1001",
    "iso2022_kr": "iso2022kr csiso2022kr",
    "johab": "johab cp1361",
    "koi8_r": "koi8r koi koi8 cskoi8r",
    "koi8_u": "koi8u koi8ru",
    "mac_roman": "macintosh mac xmacroman macroman csmacintosh",
    "mac_cyrillic": "xmaccyrillic maccyrillic xmacukrainian",
}
_BY_LABEL: Final = {label: codec for codec, labels in _CODECS.items() for label in labels.split()}
_NUMBERED: Final = (
    (re.compile(r"iso8859(2|3|4|5|6|7|8|10|13|14|15|16)"), "iso8859_{}"),
    (re.compile(r"(?:x?cp|windows|mscp)(125[0-8]|874|932|949)"), "cp{}"),
    (re.compile(r"(?:cp|ibm|dos|csibm)?(437|737|775|85[02578]|86[0-69])"), "cp{}"),
)


@cache
def _known_codec(label: str) -> str | None:
    if label in _BY_LABEL:
        return _BY_LABEL[label]
    for pattern, codec in _NUMBERED:
        if (match := pattern.fullmatch(label)) is not None:
            return codec.format(match[1])
    return None


def _codec(label: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", label)
    # Labels are a stranger's: only the short ones are worth a place in the cache.
    return _known_codec(plain) if len(plain) <= len("csiso58gb231280") + 5 else None
