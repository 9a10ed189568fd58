"""The members of containers: read as other programs wrote them, and within bounds."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
import tnefparse

from ingest.codes import Rule
from ingest.documents.detection import detect
from ingest.documents.media_types import TEXT, XML
from ingest.documents.unpacking import cms, mime, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.documents.unpacking.bounded import Bounded
from ingest.documents.unpacking.content_ids import MAX_IDS, shown_content_ids
from ingest.errors import PartRejected
from tests.mails.catalogue.contents import sign, zipped
from tests.mails.compound import OutlookFile, OutlookMessage
from tests.mails.compound import msg as written_msg
from tests.mails.compound import tnef as written_tnef
from tests.mails.mime import entity, file, mail, multipart, text

LARGE = bytes(range(256)) * 64
MESSAGE = OutlookMessage(
    subject="Grüße",
    body="Anbei",
    html=b'<img src="cid:logo@x">',
    files=[
        OutlookFile(name="Größe.pdf", content_type="application/pdf", content=b"%PDF-small", content_id="logo@x"),
        OutlookFile(name="groß.bin", content=LARGE),
        OutlookFile(
            name="innen", message=OutlookMessage(subject="innen", body="", files=[OutlookFile(name="a", content=b"b")])
        ),
    ],
)


def opened(raw: bytes, *, max_parts: int = 100) -> list[tuple[str, bytes]]:
    container = mime.open_mail(io.BytesIO(raw), max_parts=max_parts)
    return [(member.name, b"".join(member.open())) for member in container.members]


def test_a_tnef_that_another_library_reads_too() -> None:
    raw = written_tnef(MESSAGE)
    theirs = tnefparse.TNEF(raw)
    assert [attachment.data for attachment in theirs.attachments][:2] == [b"%PDF-small", LARGE]
    ours = tnef.open_tnef(io.BytesIO(raw), max_parts=10)
    assert [member.name for member in ours.members] == ["Größe.pdf", "groß.bin", "innen"]
    assert [b"".join(member.open()) for member in ours.members][:2] == [b"%PDF-small", LARGE]
    assert ours.shown() == {"logo@x"}
    embedded = ours.members[2].embedded
    assert embedded is not None
    assert [(member.name, b"".join(member.open())) for member in embedded.members] == [("a", b"b")]


@pytest.mark.parametrize("rubbish", [b"\0" * 240, b"rubbish" * 40, b"\x03", bytes(range(3, 256))])
def test_a_tnef_ends_where_rubbish_begins(rubbish: bytes) -> None:
    raw = written_tnef(MESSAGE) + rubbish
    assert len(tnefparse.TNEF(raw).attachments) == 3
    members = tnef.open_tnef(io.BytesIO(raw), max_parts=10).members
    assert [member.name for member in members] == ["Größe.pdf", "groß.bin", "innen"]
    assert b"".join(members[1].open()) == LARGE


def test_an_outlook_message_is_unpacked_with_its_attachments() -> None:
    ours = msg.open_msg(io.BytesIO(written_msg(MESSAGE)), max_parts=10)
    assert [member.name for member in ours.members] == ["Größe.pdf", "groß.bin", "innen.msg"]
    assert [b"".join(member.open()) for member in ours.members][:2] == [b"%PDF-small", LARGE]
    assert [member.content_id for member in ours.members] == ["logo@x", None, None]
    assert ours.shown() == {"logo@x"}
    embedded = ours.members[2].embedded
    assert embedded is not None
    assert [(member.name, b"".join(member.open())) for member in embedded.members] == [("a", b"b")]


@pytest.mark.parametrize("kind", ["mail", "zip", "tnef", "msg"])
def test_more_parts_than_allowed_are_refused_before_any_is_expanded(kind: str) -> None:
    files = [OutlookFile(name=f"{number}", content=b"x") for number in range(11)]
    message = OutlookMessage(subject="", body="", files=files)
    containers = {
        "mail": lambda: mime.open_mail(
            io.BytesIO(mail("x", multipart("mixed", *[file("a", "text/plain", b"x")] * 11))), max_parts=10
        ),
        "zip": lambda: zip.open_zip(io.BytesIO(zipped({f"{number}": b"x" for number in range(11)})), max_parts=10),
        "tnef": lambda: tnef.open_tnef(io.BytesIO(written_tnef(message)), max_parts=10),
        "msg": lambda: msg.open_msg(io.BytesIO(written_msg(message)), max_parts=10),
    }
    with pytest.raises(PartRejected) as refused:
        containers[kind]()
    assert refused.value.rule is Rule.TOO_MANY


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit", "7bit"])
@pytest.mark.parametrize("size", [0, 1, 75, 300_000])
def test_transfer_encodings_are_decoded_over_block_borders(encoding: str, size: int) -> None:
    content = (b"Gr\xc3\xb6\xc3\x9fe = 12 %\r\n" * (size // 16 + 1))[:size]
    encoders = {
        "base64": lambda: file("a", "application/octet-stream", content),
        "quoted-printable": lambda: entity(
            ["Content-Type: application/octet-stream; name=a", "Content-Transfer-Encoding: quoted-printable"],
            b"".join(bytes([c]) if c in b"\r\n" else b"=%02X" % c for c in content),
        ),
    }
    plain = entity(
        ["Content-Type: application/octet-stream; name=a", f"Content-Transfer-Encoding: {encoding}"], content
    )
    part = encoders.get(encoding, lambda: plain)()
    assert opened(mail("x", multipart("mixed", text("Anbei"), part))) == [("a", content)]


def test_a_line_without_end_is_content() -> None:
    line = b"x" * 300_000 + b"--nicht das Ende"
    part = entity(["Content-Type: application/octet-stream; name=a"], line)
    assert opened(mail("x", multipart("mixed", part))) == [("a", line)]


def test_quoted_printable_without_a_line_break_is_decoded() -> None:
    part = entity(["Content-Type: a/b; name=a", "Content-Transfer-Encoding: quoted-printable"], b"=41" * 400_000)
    assert opened(mail("x", multipart("mixed", part))) == [("a", b"A" * 400_000)]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\r\n", b"kein Kopf", b"Content-Type: multipart/mixed; boundary=x\r\n", b"--x\r\n--x--\r\n", b"\xff\xfe\0"],
)
def test_broken_mails_are_mails(raw: bytes) -> None:
    assert opened(raw) == []


def test_a_header_without_end_is_cut_and_its_content_kept() -> None:
    part = entity(["Content-Type: a/b; name=a", f"X-Long: {'x' * 200_000}"], b"Inhalt")
    assert opened(mail("x", multipart("mixed", part, file("b", "a/b", b"2")))) == [("a", b"Inhalt"), ("b", b"2")]


@pytest.mark.parametrize(
    "long",
    ['X: a="' + ";" * 200_000 + '"', "X: " + "ü" * 100_000, "X: a\r\n" + " bcdefgh\r\n" * 20_000 + " i"],
    ids=["one line", "letters of two bytes", "folded"],
)
def test_a_field_without_end_leaves_the_others_whole(long: str) -> None:
    part = entity(["Content-Type: a/b; name=Größe", long, "Content-ID: <a@b>"], b"Inhalt")
    raw = mail("x", multipart("mixed", part, file("b", "a/b", b"2")))
    first, second = mime.walk(io.BytesIO(raw), max_parts=10)
    assert (first.name, first.headers.get("content-id"), second.name) == ("Größe", "<a@b>", "b")
    assert b"".join(first.content(io.BytesIO(raw))) == b"Inhalt"


def test_names_of_many_encoded_words_are_decoded() -> None:
    for words, found in (("=?utf-8?q?=C3=BC?=", "ü"), ("=?utf-8?q?=C3=BC?= " * 300 + "a", "ü" * 300 + " a")):
        part = f'--b\r\nContent-Type: a/b; name="{words}"\r\n\r\n1\r\n--b--\r\n'.encode()
        raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part
        assert opened(raw) == [(found, b"1")]


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("filename*=utf-8''a; filename*0=b", "a"),
        (f"filename*{'9' * 5000}=x", "Betreff"),
        ("filename*=idna''%ff", "ÿ"),
        ("filename*=undefined''x", "x"),
        ("filename*=utf-7''+2AA-", "?"),
    ],
    ids=lambda value: value[:20],
)
def test_a_name_that_can_not_be_read_costs_no_more_than_itself(parameter: str, name: str) -> None:
    part = entity(["Content-Type: text/plain", f"Content-Disposition: inline; {parameter}"], b"Inhalt")
    raw = mail("Betreff", multipart("mixed", text("Anbei"), part, file("b", "a/b", b"2")))
    assert opened(raw) == [(name, b"Inhalt"), ("b", b"2")]
    body = mime.find_body(io.BytesIO(raw), max_parts=10)
    assert body is not None
    assert b"".join(body.content(io.BytesIO(raw))).strip() == b"Anbei"


@pytest.mark.parametrize("boundary", ["utf-7''+2AA-", "idna''%ff", "undefined''x"])
def test_a_boundary_that_can_not_be_read_is_none(boundary: str) -> None:
    part = f"Content-Type: multipart/mixed; boundary*={boundary}\r\n\r\n".encode()
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + part + b"\r\n--b\r\n"
    raw += b"Content-Type: a/b; name=a\r\n\r\n1\r\n--b--\r\n"
    assert opened(raw)[-1] == ("a", b"1")


def test_any_error_of_the_library_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> None:
        raise AttributeError

    monkeypatch.setattr(mime, "parse_parameters", broken)
    for read in (mime.open_mail, mime.find_body):
        with pytest.raises(PartRejected) as refused:
            read(io.BytesIO(b"Subject: x\n\nText"), max_parts=10)
        assert refused.value.rule is Rule.UNREADABLE


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/a; boundary=c\n\n" * 2000,
         Rule.TOO_MANY),
        (b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b\n" + b"a: b\n" * 200_000 + b"\n\n") * 14,
         Rule.UNREADABLE),
    ],
    ids=["multiparts", "headers"],
)  # fmt: skip
def test_work_is_bounded_as_well(raw: bytes, rule: Rule) -> None:
    with pytest.raises(PartRejected) as refused:
        opened(raw)
    assert refused.value.rule is rule


@pytest.mark.parametrize("length", [1, 31, 32, 33, 70, 1000])
def test_boundaries_of_any_length_are_compared_whole(length: int) -> None:
    boundary = (b"(+.*" * 250)[:length]
    content = b"--" + boundary + b"x\n--" + boundary[:-1] + b"\n--" + boundary + b"-\n" + b"y" * 300_000
    raw = b'Content-Type: multipart/mixed; boundary="%b"\n\n--%b\nContent-Type: a/b; name=a\n\n' % (boundary, boundary)
    raw += content + b"\n--%b \nContent-Type: a/b; name=b\n\n2\n--%b--" % (boundary, boundary)
    assert opened(raw) == [("a", content), ("b", b"2")]


@pytest.mark.parametrize("around", [0, 1, 2, 3, 4, 5])
def test_lines_that_begin_as_delimiters_do_are_content(around: int) -> None:
    lines = b"x" * around + b"--\n--x\n--bb\n" * 60_000
    content = lines + b"--" + b"x" * 300_000 + b"\n--b-\n--"
    part = b"--b\nContent-Type: a/b; name=a\n\n" + content
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + part + b"\n--b \nContent-Type: a/b; name=b\n\n2\n--b--"
    assert opened(raw) == [("a", content), ("b", b"2")]


def test_no_more_content_ids_are_kept_than_a_mail_shows() -> None:
    body = [b"cid:%d " % number for number in range(3 * MAX_IDS)]
    assert len(shown_content_ids(body)) == MAX_IDS
    assert len(shown_content_ids([b"".join(body)])) == MAX_IDS


def tnef_of_properties(*properties: bytes) -> io.BytesIO:
    """A winmail.dat with one attachment, which has `properties` in attributes of their own."""
    raw = tnef.SIGNATURE + bytes(2)
    for attribute, data in ((0x00069002, b""), *((0x00069005, data) for data in properties)):
        raw += struct.pack("<BII", 2, attribute, len(data)) + data + bytes(2)
    return io.BytesIO(raw)


def names(*values: bytes) -> bytes:
    """A list of one property: the attachment's long file name, with several values."""
    head = struct.pack("<IHHI", 1, 0x101E, 0x3707, len(values))
    return head + b"".join(struct.pack("<I", len(value)) + value + bytes(-len(value) % 4) for value in values)


def test_of_several_values_the_first_one_counts() -> None:
    (member,) = tnef.open_tnef(tnef_of_properties(names(b"a.pdf", b"b.pdf")), max_parts=1).members
    assert member.name == "a.pdf"


def test_the_values_of_all_properties_are_counted_together() -> None:
    list_of_values = names(b"a.pdf", *[b""] * 24_999)
    assert tnef.open_tnef(tnef_of_properties(*[list_of_values] * 4), max_parts=1).members
    with pytest.raises(PartRejected) as refused:
        tnef.open_tnef(tnef_of_properties(*[list_of_values] * 4, names(b"a.pdf")), max_parts=1)
    assert refused.value.rule is Rule.UNREADABLE


def test_boundaries_that_begin_alike_are_kept_apart() -> None:
    inner = b"--a-b\r\nContent-Type: a/b; name=innen\r\n\r\n1\r\n--a-b--\r\n"
    raw = (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=a-b\r\n\r\n"
        + inner
        + b"--a\r\nContent-Type: a/b; name=aussen\r\n\r\n2\r\n--a--\r\n"
    )
    assert opened(raw) == [("innen", b"1"), ("aussen", b"2")]


def test_signed_content_is_found_in_any_encoding() -> None:
    content = b"Content-Type: text/plain\r\n\r\nAnbei.\r\n"
    raw = sign(content, detached=False)
    assert cms.kind_of(io.BytesIO(raw)) is cms.CmsKind.SIGNED
    (member,) = cms.open_signed(io.BytesIO(raw), "smime.p7m").members
    assert (member.name, b"".join(member.open())) == ("smime.eml", content)
    assert cms.kind_of(io.BytesIO(sign(content, detached=True))) is cms.CmsKind.SIGNATURE
    # The same in pieces of unknown length, as streams are signed.
    head = bytes.fromhex("308006092a864886f70d010702a080308002010131003080 06092a864886f70d010701 a0802480")
    pieces = b"".join(b"\x04" + bytes([len(piece)]) + piece for piece in (content[:10], content[10:]))
    (member,) = cms.open_signed(io.BytesIO(head + pieces + bytes(10)), "rechnung.xml.p7m").members
    assert (member.name, b"".join(member.open())) == ("rechnung.xml", content)


def test_folders_without_end_are_refused_too() -> None:
    folders = zipped({f"{number}/": b"" for number in range(2000)})
    with pytest.raises(PartRejected) as refused:
        zip.open_zip(io.BytesIO(folders), max_parts=10)
    assert refused.value.rule is Rule.TOO_MANY


def test_pieces_of_signed_content_in_each_other_are_read_once() -> None:
    head = bytes.fromhex("308006092a864886f70d010702a080308002010131003080 06092a864886f70d010701 a080")
    nested = bytes.fromhex("2480") * 12 + b"\x04\x01a" + bytes(24)
    (member,) = cms.open_signed(io.BytesIO(head + nested + bytes(10)), "a.p7m").members
    assert b"".join(member.open()) == b"a"
    many = bytes.fromhex("2480") + b"\x04\0" * 20_000 + bytes(2)
    (member,) = cms.open_signed(io.BytesIO(head + many + bytes(10)), "a.p7m").members
    with pytest.raises(PartRejected) as refused:
        list(member.open())
    assert refused.value.rule is Rule.UNREADABLE


def test_only_what_expands_step_by_step_is_expanded() -> None:
    raw = bytearray(zipped({"a": b"x"}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", raw, raw.find(signature) + offset, 14)  # LZMA
    (member,) = zip.open_zip(io.BytesIO(bytes(raw)), max_parts=10).members
    with pytest.raises(PartRejected) as refused:
        list(member.open())
    assert refused.value.rule is Rule.UNREADABLE


def test_a_reader_in_circles_comes_to_an_end() -> None:
    bound = Bounded(io.BytesIO(b"x" * 100), at_once=50, in_all=1000, calls=100, rule=Rule.UNREADABLE)
    with pytest.raises(PartRejected):
        bound.read()
    with pytest.raises(PartRejected):
        turn_in_circles(bound)


def turn_in_circles(file: Bounded) -> None:
    while True:
        file.seek(0)
        file.read(10)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("<Größe xmlns='x'>" + "ü" * 5000, XML),
        ("<Größe xmlns='x'>." + "ü" * 5000, XML),
        ("ü#!/bin/sh\n" + "echo\n" * 2000, TEXT),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_text_larger_than_what_is_looked_at_is_read_in_its_encoding(content: str, found: str, encoding: str) -> None:
    data = content.encode(encoding)
    assert detect(io.BytesIO(data), data, name="bericht", declared_type=None).media_type == found


_SHOWN = b'<p><img src="cid:logo%40x"><img src=CID:two@y><a href="acid:cid:3">cid:' + b"l" * 251 + b" cid:end"


def test_content_ids_are_found_whole_wherever_a_block_ends() -> None:
    whole = {"logo@x", "two@y", "cid:3", "l" * 250, "end"}
    assert shown_content_ids([_SHOWN]) == whole
    assert shown_content_ids(bytes([byte]) for byte in _SHOWN) == whole
    for cut in range(len(_SHOWN) + 1):
        assert shown_content_ids([_SHOWN[:cut], _SHOWN[cut:]]) == whole


def test_the_samples_are_there() -> None:
    folder = Path(__file__).parents[4] / "mails" / "samples"
    assert {path.stem for path in folder.glob("*.eml")} == {path.stem for path in folder.glob("*.txt")}
