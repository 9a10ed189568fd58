"""Every part of a mail gets its disposition: the samples in tests/mails, taken apart as the app takes them apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.codes import Disposition, Rule
from ingest.filing import FilingOptions
from ingest.model.limits import Limits
from ingest.settings import BodyMode
from tests.fakes.filing import file_mail, rows
from tests.mails.table import table

SAMPLES = Path(__file__).parents[3] / "mails" / "samples"
MAILS = sorted(path.stem for path in SAMPLES.glob("*.eml"))


def raw(name: str) -> bytes:
    return SAMPLES.joinpath(f"{name}.eml").read_bytes()


# Graph's attachments are needed for these; tests/integration/test_documents.py has them.
WITH_GRAPH = {"cloud-attachment-alone", "smime-report"}


@pytest.mark.parametrize("name", [name for name in MAILS if name not in WITH_GRAPH])
def test_each_part_ends_as_its_table_says(name: str) -> None:
    saved, _ = file_mail(raw(name))
    text = re.sub(r"\Alink: .*\n", "", SAMPLES.joinpath(f"{name}.txt").read_text(encoding="utf-8"))
    assert table(rows(saved.parts)) == text


@pytest.mark.parametrize("name", MAILS)
def test_what_is_recorded_as_stored_is_stored(name: str) -> None:
    saved, blobs = file_mail(raw(name))
    assert saved.original is not None
    assert blobs.content[saved.original.name] == raw(name)
    for part in saved.parts:
        if part.blob is None:
            assert part.disposition in {Disposition.REJECTED, Disposition.LINK} or part.sha256 is None
        else:
            assert (part.blob.size, part.blob.sha256) == (part.size, part.sha256)
            assert len(blobs.content[part.blob.name]) == part.size
    # Nothing lies in Blob that no row knows of.
    known = {saved.original.name} | {part.blob.name for part in saved.parts if part.blob}
    assert blobs.content.keys() == known


@pytest.mark.parametrize("name", MAILS)
def test_taken_apart_again_it_is_the_same(name: str) -> None:
    first, blobs = file_mail(raw(name))
    second, again = file_mail(raw(name))
    assert (first.parts, blobs.content) == (second.parts, again.content)


@pytest.mark.parametrize("name", ["names", "zip-archive"])
def test_no_blob_name_comes_from_the_sender(name: str) -> None:
    _, blobs = file_mail(raw(name))
    for blob in blobs.content:
        tenant, key, original, place = blob.split("/")
        assert tenant == "1"
        assert (len(key), len(original)) == (32, 64)
        assert place == "original.eml" or place.replace(".", "").isdigit()


@pytest.mark.parametrize("odd", [b'x="\xfc\x80"', b"x=\xff", b"(\xe4)"])
def test_one_bad_byte_beside_the_name_of_an_attachment_leaves_the_name_as_it_is(odd: bytes) -> None:
    name = 'filename="Größe für €.pdf"'.encode()
    for disposition in (name + b";\r\n " + odd, odd + b";\r\n " + name):
        mail = (
            b"Subject: a\r\nContent-Type: application/pdf\r\n"
            b"Content-Disposition: attachment;\r\n " + disposition + b"\r\n\r\n%PDF-1.7\n"
        )
        saved, _ = file_mail(mail)
        assert [part.name for part in saved.parts] == ["Größe für €.pdf"]


def test_the_body_is_stored_as_it_came_where_that_is_wished() -> None:
    options = FilingOptions(body=BodyMode.ALWAYS)
    saved, blobs = file_mail(raw("outlook-reply-with-logos"), options)
    body = saved.parts[-1]
    assert (body.disposition, body.rule, body.name) == (Disposition.DOCUMENT, Rule.BODY, "AW: Angebot 4711.html")
    assert (body.declared_type, body.detected_type) == ("text/html; charset=utf-8", "text/html")
    assert body.blob is not None
    assert blobs.content[body.blob.name].startswith(b"<p>Anbei.</p>")
    assert [part.rule for part in saved.parts[:-1]] == [Rule.SHOWN_IN_BODY, Rule.FILE, Rule.SHOWN_IN_BODY]


def test_a_mail_of_text_alone_keeps_its_original_beside_its_body() -> None:
    saved, _ = file_mail(raw("only-text"), FilingOptions(body=BodyMode.ALWAYS))
    assert {part.rule for part in saved.parts} == {Rule.BODY, Rule.MAIL_WITHOUT_DOCUMENTS}
    assert len({part.position for part in saved.parts}) == 2


def test_without_depth_containers_are_not_opened() -> None:
    saved, _ = file_mail(raw("mail-as-file"), FilingOptions(limits=Limits(depth=0)))
    assert saved.parts[0].rule is Rule.TOO_DEEP


def test_the_limit_of_bytes_holds_for_all_containers_together() -> None:
    saved, _ = file_mail(raw("zip-archive"), FilingOptions(limits=Limits(expanded_bytes=700)))
    found = [part.rule for part in saved.parts]
    assert Rule.FILE in found
    assert Rule.TOO_LARGE in found
    assert len(found) == len(file_mail(raw("zip-archive"))[0].parts) - 1  # the archive inside stays shut


@pytest.mark.parametrize("encoding", ["x-yenc", "x-uuencode"])
def test_a_text_of_many_short_lines_is_within_the_budget(encoding: str) -> None:
    """Each line of such a text is decoded by itself."""
    saved, _ = file_mail(
        f"From: a@b.example\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + b"\n" * 500_000
    )
    assert [part.rule for part in saved.parts] == [Rule.MAIL_WITHOUT_DOCUMENTS]


@pytest.mark.parametrize("name", ["zip-archive", "mail-as-file"])
def test_a_mail_that_is_too_costly_to_take_apart_is_a_document_whole(name: str) -> None:
    mail = b"Auto-Submitted: auto-generated\r\n" + raw(name)
    saved, blobs = file_mail(mail, FilingOptions(limits=Limits(processor_seconds=0)))
    (part,) = saved.parts
    assert (part.disposition, part.rule) == (Disposition.DOCUMENT, Rule.TOO_COSTLY)
    assert part.blob is not None
    assert blobs.content[part.blob.name] == mail
