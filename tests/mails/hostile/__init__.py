"""Files that cost far more to read than to send, and mails around them. The files beside this module are attacks."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

FILES = Path(__file__).parent
_INVOICE = b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2">'
_IMAGE = b"Content-Type: image/png\r\nContent-ID: <a>\r\n\r\n\x89PNG\r\n\x1a\n"


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each hostile file."""
    for path in sorted(FILES.iterdir()):
        if path.suffix in {".zip", ".pdf"}:
            yield path.name, path.read_bytes()


def names() -> tuple[str, ...]:
    """Return the names of all files and patterns."""
    return (*(name for name, _ in files()), *_SHAPES)


def content(name: str, size: int) -> bytes:
    """Return one of them; a pattern is repeated up to about `size` bytes."""
    return _SHAPES[name](size) if name in _SHAPES else FILES.joinpath(name).read_bytes()


def shapes(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each pattern, repeated up to about `size` bytes."""
    for name, make in _SHAPES.items():
        yield name, make(size)


def multipart(*parts: bytes, boundary: bytes = b"b") -> bytes:
    """Return a mail of these parts, each with its own header."""
    head = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n"
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    end = b"--" + boundary + b"--\r\n"
    return head + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n" + body + end


def _repeat(pattern: bytes, size: int) -> bytes:
    return pattern * (size // len(pattern))


def _of_parts(part: bytes, size: int, most: int = 900) -> bytes:
    return multipart(*[part] * min(most, 1 + size // len(part)))


def _pdf_of_objects(size: int) -> bytes:
    """A PDF with as many entries in its cross-reference stream as its length allows."""
    count = size // 4
    table = zlib.compress(bytes(5 * count))
    head = b"%PDF-1.7\n%/EmbeddedFile\n"
    entry = b"10 0 obj\n<</Type/XRef/Size %d/W[1 3 1]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n"
    end = b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)
    return head + entry % (count, len(table)) + table + b"%" * size + end


def _zip_of_zips(size: int) -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for number in range(900):
            archive.writestr(str(number), b"")
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(max(1, min(900, size // 7000))):
            archive.writestr(f"{number}.zip", inner.getvalue())
    return outer.getvalue()


_SHAPES: Mapping[str, Callable[[int], bytes]] = {
    "delimiters.eml": lambda size: multipart(b"Content-Type: a/b; name=x\r\n\r\n" + _repeat(b"--\n", size)),
    "multiparts.eml": lambda size: (
        b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n"
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(50))
        + b"Content-Type: a/b; name=x\r\n\r\n"
        + _repeat(b"--b\n", size)
    ),
    "parameters.eml": lambda size: _of_parts(b"Content-Type: text/plain; " + b";" * 16_000 + b"\r\n\r\nx", size, 120),
    "names.eml": lambda size: _of_parts(
        b'Content-Disposition: attachment; filename="' + b"=?a?q?" * 600 + b'"\r\n\r\nx', size, 500
    ),
    "content ids.eml": lambda size: multipart(
        b"Content-Type: text/html\r\n\r\n" + _repeat(b"cid:" + b"%41" * 80 + b" ", size), _IMAGE
    ),
    "elements.xml": lambda size: _INVOICE + _repeat(b"<a/>", size) + b"</Invoice>",
    "nested.xml": lambda size: _INVOICE + _repeat(b"<a>" * 98 + b"</a>" * 98, size) + b"</Invoice>",
    "objects.pdf": _pdf_of_objects,
    "names.pdf": lambda size: b"%PDF-1.7\n/EmbeddedFile " + _repeat(b".xml", size),
    "directories.zip": _zip_of_zips,
}
