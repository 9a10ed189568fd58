"""Types, detected from the content within bounds; and dangers, by content or by name."""

from __future__ import annotations

import io
import zipfile

import pytest

from ingest.documents.blocked_types import BLOCKED, GMAIL, OURS, OUTLOOK, Blocking, extension_of
from ingest.documents.detection import Detected, detect
from ingest.documents.media_types import DISK_IMAGE, MAIL, PDF, TEXT, XML
from tests.mails.catalogue.contents import executable, media, zipped


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!---->" * 1000 + b"x", TEXT),  # never came to an end where one comment may be read as many
        (b"<!---->" * 1000 + b"<html>", "text/html"),
        (b"<!-- a > b - -- c --> <!-- <svg> --><svg >", "image/svg+xml"),
        (b"<!-- <html> --> x", TEXT),
    ],
)
def test_comments_before_the_root_are_read_in_one_way_only(content: bytes, found: str) -> None:
    assert detect(io.BytesIO(content), content, name="", declared_type=None).media_type == found


def detected(
    content: bytes, *, name: str = "", declared: str | None = None, blocking: Blocking | None = None
) -> Detected:
    return detect(io.BytesIO(content), content, name=name, declared_type=declared, blocking=blocking or Blocking())


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!-- a\n b --><?pi?>\n<Invoice xmlns='x'>", XML),
        (b"<?xml-stylesheet href='a'?><a/>", XML),
        (b"<?" * 30_000, TEXT),
        (b"<!-- " + b"a\n" * 9000 + b"--><Invoice xmlns='x'>", XML),
        (b"<TITLE>a", "text/html"),
        (b"<p >a", "text/html"),
        (b"<pre-table>", TEXT),
        (b"<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'x'>\n<svg>", "image/svg+xml"),
        (media(b"qt  ", b"qt  "), "video/quicktime"),
        (media(b"xxxx", b"M4A "), "audio/mp4"),
        (b"\0\0\0\x08ftyp", "video/mp4"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM, sagte er.", TEXT),
        (b"\xff\x4f\xff\x51\0\x2f", "image/j2c"),
    ],
)
def test_a_type_follows_from_the_content(content: bytes, found: str) -> None:
    assert detected(content).media_type == found


@pytest.mark.parametrize(
    ("mimetype", "found"),
    [
        (b"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
        (b"application/epub+zip", "application/epub+zip"),
        (b"application/pdf", "application/zip"),
        (b"application/vnd.oasis.opendocument.\xff", "application/zip"),
    ],
)
def test_a_sender_chooses_no_type_but_those_that_are_archives(mimetype: bytes, found: str) -> None:
    assert detected(zipped({"mimetype": mimetype, "a.exe": b""})).media_type == found
    assert detected(zipped({"a.exe": b"", "mimetype": mimetype})).media_type == "application/zip"


def test_a_type_that_the_sender_wrote_counts_only_where_it_is_not_compressed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", b"application/epub+zip" * 2)
    assert detected(out.getvalue()).media_type == "application/zip"
    raw = bytearray(zipped({"mimetype": b"application/epub+zip"}))
    assert detected(bytes(raw)).media_type == "application/epub+zip"
    raw[8] = zipfile.ZIP_DEFLATED  # the method, in the header of the first member
    assert detected(bytes(raw)).media_type == "application/zip"


@pytest.mark.parametrize("volume", [b"CD001", b"BEA01", b"NSR02", b"NSR03"])
@pytest.mark.parametrize("name", ["Belege.udf", "Belege.iso", "Belege.pdf", ""])
def test_a_disk_image_is_no_audio_and_dangerous_by_any_name(volume: bytes, name: str) -> None:
    for declared in (None, "audio/x-sndr", "application/octet-stream"):
        found = detected(bytes(32769) + volume, name=name, declared=declared)
        assert (found.media_type, found.dangerous) == (DISK_IMAGE, True)


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_an_archive_that_breaks_off_in_its_first_header_is_an_archive(cut: int) -> None:
    content = zipped({"mimetype": b"application/epub+zip"})[: 30 + cut]
    assert detected(content).media_type in {"application/zip", "application/epub+zip"}


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n \r\nX-A: b\r\n\r\n",
        b"\xef\xbb\xbfSubject : a\n\n",
        b"DKIM-Signature: a\n" + b" from:\n" * 9000,
        b"by gateway\nSubject: a\n\n",
        b">From a@b Mon\nX: y\n\n",
    ],
)
def test_a_file_with_the_name_of_a_mail_is_a_mail_if_it_has_any_header(head: bytes) -> None:
    assert detected(head, name="Alt.EML").media_type == MAIL
    assert detected(head, declared="message/rfc822").media_type == MAIL
    assert detected(b"Kein Kopf.", name="a.eml").media_type == TEXT


@pytest.mark.parametrize("extension", sorted(BLOCKED))
def test_a_blocked_name_is_dangerous_with_any_content(extension: str) -> None:
    for content in (b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"BEGIN:VCARD\n", b"text", b"\0\1\2"):
        assert detected(content, name=f"Rechnung.pdf.{extension.upper()}").dangerous
    assert detected(b"%PDF-1.4", name=f"Rechnung.{extension}").media_type == PDF


@pytest.mark.parametrize("name", ["a.exe. .", "a.exe\u200b", "a.pdf.exe \u202e", "a.EXE\0", ".exe"])
def test_what_a_computer_leaves_out_of_a_name_hides_nothing(name: str) -> None:
    assert extension_of(name) == "exe"
    assert detected(b"%PDF-1.4", name=name).dangerous


def test_a_dangerous_content_is_dangerous_by_any_name() -> None:
    assert detected(executable(), name="Rechnung.pdf").dangerous
    assert not detected(b"%PDF-1.4", name="exe").dangerous
    assert not detected(b"%PDF-1.4", name="a.exe.pdf").dangerous


def test_the_lists_are_extensions_and_none_is_that_of_an_invoice() -> None:
    for listed in (OUTLOOK, GMAIL, OURS):
        assert all(extension == extension.lower().strip(".") for extension in listed)
    assert not OURS & (OUTLOOK | GMAIL)
    assert not BLOCKED & {
        "pdf",
        "xml",
        "zip",
        "eml",
        "msg",
        "docx",
        "xlsx",
        "docm",
        "xlsm",
        "csv",
        "txt",
        "html",
        "jpg",
    }


def test_an_operator_blocks_and_allows_names_but_no_programs() -> None:
    blocking = Blocking(added=frozenset({"pages"}), allowed=frozenset({"iso", "js"}))
    image = bytes(32769) + b"CD001"
    assert detected(b"PK", name="a.PAGES", blocking=blocking).dangerous
    assert not detected(image, name="a.iso", blocking=blocking).dangerous
    assert not detected(b"run()", name="a.js", blocking=blocking).dangerous
    assert detected(image, name="a.img", blocking=blocking).dangerous
    assert detected(image, name="a.pdf", blocking=blocking).dangerous
    assert detected(executable(), name="a.iso", blocking=blocking).dangerous
