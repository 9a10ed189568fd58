"""Active content is found where programs would act on a document, wherever it stands in the file."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codes import ActiveContent
from ingest.documents.active_content import find_active_content
from ingest.documents.detection import detect
from ingest.documents.spool import BLOCK
from tests.mails.catalogue.contents import DOCX, zipped


def found(content: bytes, media_type: str) -> tuple[ActiveContent, ...]:
    return find_active_content(io.BytesIO(content), len(content), media_type)


@pytest.mark.parametrize("written", [b"/JavaScript", b"/#4aavaScript", b"/Java#53cript", b"/Launch"])
def test_a_script_in_a_pdf_is_found_across_the_border_of_a_block(written: bytes) -> None:
    for before in (0, BLOCK - 3, BLOCK, 3 * BLOCK - 7):
        assert found(b"%PDF" + bytes(before) + b"<</S " + written + b">>", "application/pdf") == ("script",)


def test_a_script_in_an_object_stream_of_a_pdf_is_found() -> None:
    packed = zlib.compress(b"1 0 <</S /JavaScript /JS (x)>>")
    stream = b"%PDF-1.7 5 0 obj<</Type/ObjStm/N 1/Filter/FlateDecode>>\nstream\r\n" + packed + b"\nendstream"
    assert found(stream, "application/pdf") == ("script",)
    assert found(stream.replace(packed, packed[:-9]), "application/pdf") == ("script",)
    assert found(stream.replace(packed, b"no deflate"), "application/pdf") == ()
    assert found(b"%PDF-1.7 (JavaScript)", "application/pdf") == ()


@pytest.mark.parametrize(
    ("markup", "active"),
    [
        (b"<SCRIPT>", True),
        (b"<svg:script xlink:href='a'/>", True),
        (b"<img src=x onerror=alert(1)>", True),
        (b"<a href=' JavaScript :x'>", True),
        ("<script>".encode("utf-16"), True),
        (b"<p>on time = money</p>", False),
        (b"<scripture>", False),
    ],
)
def test_a_script_in_markup_is_active_content(markup: bytes, active: bool) -> None:  # noqa: FBT001 - a column of the table
    expected = ("script",) if active else ()
    assert found(markup, "text/html") == expected
    assert found(markup, "image/svg+xml") == expected
    assert found(markup, "text/plain") == ()


@pytest.mark.parametrize("name", ["word/vbaProject.bin", "xl/macrosheets/sheet1.xml", "word/activeX/activeX1.xml"])
def test_macros_in_office_files_are_active_content(name: str) -> None:
    assert found(zipped({name: b"x"}), DOCX) == ("macros",)
    assert found(zipped({f"media/{name.replace('/', '-')}.png": b"x"}), DOCX) == ()


OFFICE = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"}


@pytest.mark.parametrize(
    "files",
    [
        OFFICE,
        {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"},
        {"mimetype": b"application/epub+zip", "content.opf": b"<x/>"},
    ],
)
@pytest.mark.parametrize("name", ["Rechnung.exe", "word/embeddings/a.JS", "a.scr. ", "b.pdf.exe\u202e"])
def test_a_program_in_an_archive_that_looks_like_a_document(files: dict[str, bytes], name: str) -> None:
    for content, expected in ((zipped(files), ()), (zipped({**files, name: b"MZ"}), ("executable",))):
        media_type = detect(io.BytesIO(content), content, name="a", declared_type=None).media_type
        assert media_type != "application/zip"
        assert found(content, media_type) == expected


def test_macros_in_the_older_formats_are_active_content() -> None:
    content = bytes(1000) + "_VBA_PROJECT".encode("utf-16-le") + bytes(1000)
    assert found(content, "application/msword") == ("macros",)
    assert found(content, "application/vnd.ms-outlook") == ()


@given(content=st.binary(max_size=200), media_type=st.sampled_from(["application/pdf", "text/html", DOCX]))
def test_no_content_raises_anything(content: bytes, media_type: str) -> None:
    found(content, media_type)
    found(b"PK\3\4" + content, media_type)
    found(b"/ObjStm stream\r\n" + content, media_type)
