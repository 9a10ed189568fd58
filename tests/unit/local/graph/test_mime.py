"""MIME as Exchange reads it."""

import base64
import os
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.graph.mail.mime import ParsedMail, store_and_parse


def parsed(folder: Path, raw: bytes) -> ParsedMail:
    _, mail = store_and_parse(raw, at=folder / "1")
    return mail


def part(headers: str, content: bytes = b"%PDF", boundary: bytes = b"b") -> bytes:
    return b"--" + boundary + b"\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def mixed(*parts: bytes) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(parts) + b"--b--\r\n"


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ("Content-Disposition: attachment; filename=plain.pdf", "plain.pdf"),
        ("Content-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
        ("Content-Disposition: attachment; filename*0*=utf-8''%F0%9F%98%80; filename*1=lang.pdf", "😀lang.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?Gr=C3=BC=C3=9Fe.pdf?="', "Grüße.pdf"),
        ('Content-Type: application/pdf; name="in-type.pdf"', "in-type.pdf"),
        ('Content-Disposition: attachment; filename="../../etc/passwd"', "../../etc/passwd"),
        ('Content-Disposition: attachment; filename=""', ""),
        ('Content-Disposition: attachment; filename="ä-unkodiert.pdf"', "ä-unkodiert.pdf"),
        ("Content-Type: application/pdf", "ATT00001.pdf"),
    ],
)
def test_names_are_decoded_and_never_made_safe(tmp_path: Path, headers: str, name: str) -> None:
    [attachment] = parsed(tmp_path, mixed(part(headers))).attachments
    assert attachment.name == name


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        ("a@x.example", ["a@x.example"]),
        ('"Müller, Eva" <a@x.example>, B <b@x.example>', ["a@x.example", "b@x.example"]),
        ("Müller, Eva <a@x.example>", ["Müller", "a@x.example"]),
        ("=?utf-8?Q?M=C3=BCller=2C_Eva?= <a@x.example>", ["a@x.example"]),
        ("undisclosed-recipients:;", []),
        ("Team: a@x.example, b@x.example;", ["a@x.example", "b@x.example"]),
        ("a@x.example,\r\n b@x.example", ["a@x.example", "b@x.example"]),
        ("", []),
    ],
)
def test_recipients_are_read_leniently(tmp_path: Path, to: str, addresses: list[str]) -> None:
    mail = parsed(tmp_path, f"To: {to}\r\n\r\nhi".encode())
    assert [recipient.address for recipient in mail.to] == addresses


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("=?utf-8?b?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?b?R3LDvMOfZQ?=", "Grüße"),
        ("=?utf-8?b?R3L!?= =?utf-8?q?=C3=BC?=", "=?utf-8?b?R3L!?= ü"),
        ("=?utf-8?b?R?=", "=?utf-8?b?R?="),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?= und mehr", "ü und mehr"),
        ("=?utf-8*de?q?a_b?= =?latin-1?q?=FC?=", "a bü"),
        ("=?klingon?q?a?=", "=?klingon?q?a?="),
        ("a =?utf-8?q?b?= c", "a b c"),
    ],
)
def test_a_broken_encoded_word_stays_as_written(tmp_path: Path, subject: str, shown: str) -> None:
    assert parsed(tmp_path, f"Subject: {subject}\r\n\r\nhi".encode()).subject == shown


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        (":" * 3_000 + "a@x.example", ["a@x.example"]),
        ("(" * 3_000 + ")" * 3_000 + "a@x.example", ["a@x.example"]),
        ("<" * 3_000 + "a@x.example", []),
        ('"' + "x" * 3_000 + ", a@x.example", []),
        (", ".join(f"a{number}@x.example" for number in range(10_000)), [f"a{n}@x.example" for n in range(10_000)]),
        ('Team: "a:b" <a@x.example>, <@hop.example:b@x.example>;, c@x.example', [f"{n}@x.example" for n in "abc"]),
    ],
)
def test_no_field_is_too_much(tmp_path: Path, to: str, addresses: list[str]) -> None:
    found = [recipient.address for recipient in parsed(tmp_path, f"To: {to}\r\n\r\nhi".encode()).to]
    assert found == addresses or not addresses


def test_a_name_falls_back_to_the_address(tmp_path: Path) -> None:
    [recipient] = parsed(tmp_path, b"To: a@x.example\r\n\r\n").to
    assert recipient.name == "a@x.example"


@pytest.mark.parametrize(
    ("headers", "inline"),
    [
        ("Content-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: inline", True),
        ("Content-Type: image/png\r\nContent-ID: <logo>", True),
        ("Content-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: attachment", False),
        ("Content-Type: application/pdf\r\nContent-Disposition: inline; filename=real.pdf", True),
        ("Content-Type: application/pdf", False),
    ],
)
def test_inline_is_what_the_sender_says(tmp_path: Path, headers: str, *, inline: bool) -> None:
    raw = mixed(part("Content-Type: text/html", b'<img src="cid:logo">'), part(headers))
    [attachment] = parsed(tmp_path, raw.replace(b"multipart/mixed", b"multipart/related")).attachments
    assert attachment.is_inline is inline


def test_html_is_the_body_wherever_it_stands_and_later_text_is_attached(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail.set_content("plain")
    mail.add_alternative("<p>html</p>", subtype="html")
    raw = mail.as_bytes()
    boundary = mail.get_boundary()
    assert boundary is not None
    both = parsed(tmp_path, raw)
    assert (both.body_type, both.body.strip(), both.preview) == ("html", "<p>html</p>", "html")
    assert both.attachments == ()

    split = parsed(
        tmp_path, mixed(part("Content-Type: text/plain", b"one"), part(""), part("Content-Type: text/plain", b"two"))
    )
    assert (split.body_type, split.body) == ("text", "one")
    assert [attachment.name for attachment in split.attachments] == ["ATT00001.txt", "ATT00002.txt"]


def test_an_attached_mail_is_an_item_named_by_its_subject(tmp_path: Path) -> None:
    inner = b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n"
    inner += part("Content-Type: application/pdf", boundary=b"in") + b"--in--"
    named = parsed(tmp_path, mixed(part("Content-Type: message/rfc822", inner))).attachments[0]
    assert (named.kind, named.name, named.content_type) == ("item", "Grüße", None)
    assert named.content is not None
    assert named.content.read() == inner
    headers = "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=Weiter.EML"
    [unnamed] = parsed(tmp_path, mixed(part(headers, b"From: a@b.example\r\n\r\nhi"))).attachments
    assert unnamed.name == "Weiter"


def test_text_in_any_charset_is_readable(tmp_path: Path) -> None:
    latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe"
    assert parsed(tmp_path, latin).body == "Grüße"
    unknown = b"Content-Type: text/plain; charset=klingon\r\n\r\nqapla"
    assert parsed(tmp_path, unknown).body == "qapla"


def test_base64_is_decoded_across_blocks(tmp_path: Path) -> None:
    document = os.urandom(3_000_001)
    raw = mixed(
        part("Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64", base64.encodebytes(document))
    )
    [attachment] = parsed(tmp_path, raw).attachments
    assert attachment.content is not None
    assert attachment.content.read() == document
    assert attachment.size > len(document)


def test_a_boundary_that_begins_like_another_is_another(tmp_path: Path) -> None:
    inner = b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n" + part("", b"x", b"bb") + b"--bb--"
    raw = mixed(part("Content-Type: text/plain", b"body"), b"--b\r\n" + inner + b"\r\n", part("Content-Type: a/b"))
    assert [attachment.name for attachment in parsed(tmp_path, raw).attachments] == ["ATT00001.txt", "ATT00002.bin"]


@given(
    st.binary(max_size=2000)
    | st.lists(
        st.sampled_from(
            [b"--b", b"--b--", b"\r\n", b"\n", b"Content-Type: multipart/mixed; boundary=b", b"\r\n\r\n", b": ", b"=?"]
        ),
        max_size=40,
    ).map(b"".join)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_that_can_be_received_breaks_the_reader(tmp_path: Path, raw: bytes) -> None:
    content, mail = store_and_parse(raw, at=tmp_path / "1")
    assert content.read() == raw
    assert all(attachment.content is not None for attachment in mail.attachments)
