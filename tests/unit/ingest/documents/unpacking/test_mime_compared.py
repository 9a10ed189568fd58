"""Attachments: all that another reader of MIME finds, we find byte for byte.

The others are Python's `email` (default policy) and the simulator's conversion, which stands for Exchange's.
"""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import io
import quopri
import re
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.codes import Disposition, Rule
from ingest.documents.unpacking import mime
from ingest.errors import PartRejected
from ingest.model.limits import Limits
from local.graph.mail.mime import parse
from tests.fuzz.targets import sort

pytestmark = pytest.mark.usefixtures("unmeasured")

SAMPLES = Path(__file__).parents[4] / "mails" / "samples"
_PIECE_OF_TEXT = re.compile(r"ATT\d{5}\.(txt|html?)")


def ours(raw: bytes) -> Counter[bytes]:
    """Every part that is no multipart, bodies included."""
    file = io.BytesIO(raw)
    return Counter(b"".join(entity.content(file)) for entity in mime.walk(file, max_parts=1000))


def found_by_python(raw: bytes) -> Counter[bytes]:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return Counter(_files(message))


def _files(message: EmailMessage) -> Iterator[bytes]:
    if message.get_content_type() == "message/rfc822":
        return  # Python puts an attached mail together again: its bytes are Python's
    if message.is_multipart():
        for part in message.iter_parts():
            assert isinstance(part, EmailMessage)
            yield from _files(part)
    elif message.is_attachment() or message.get_filename() is not None:
        content = message.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield content


def found_by_simulator(raw: bytes, folder: Path) -> Counter[bytes]:
    path = folder / "mail.eml"
    path.write_bytes(raw)
    attachments = parse(path, attachments_at=folder / "attachment").attachments
    return Counter(
        attachment.content.path.read_bytes()
        for attachment in attachments
        if attachment.content is not None and not _PIECE_OF_TEXT.fullmatch(attachment.name)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.eml")))
def test_nothing_in_the_samples_is_missed(name: str, folder: Path) -> None:
    raw = SAMPLES.joinpath(f"{name}.eml").read_bytes()
    assert not found_by_python(raw) - ours(raw)
    assert not found_by_simulator(raw, folder) - ours(raw)


_NAMES = st.sampled_from([
    'filename="Rechnung 4711.pdf"', "filename=a.pdf", "filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf", 'filename="a;b(c).pdf"',
    'filename*0="Rech";\r\n filename*1="nung.pdf"', 'filename="=?utf-8?q?Gr=C3=B6=C3=9Fe.pdf?="',
    'filename="Gr\xf6\xdfe"',
])  # fmt: skip
_TYPES = st.sampled_from(
    ["application/pdf", "Application/XML; charset=utf-8", "text/plain", "image/png (a; b)", "x/y;"]
)
_PARAMETERS = st.sampled_from(["", "; type=x", ';\r\n\tprotocol="a/b"', "; charset"])
_BOUNDARY = st.text(alphabet="ab-=_'+,./:?", min_size=1, max_size=12).filter(lambda boundary: boundary[-1] != " ")


@st.composite
def _leaf(draw: st.DrawFn) -> bytes:
    content = draw(st.binary(max_size=200))
    encoding = draw(st.sampled_from(["base64", "BASE64", "quoted-printable", "8bit", "x-uuencode", "uuencode"]))
    written = {
        "base64": base64.encodebytes(content),
        "quoted-printable": quopri.encodestring(content, quotetabs=True),
        "8bit": b"dashes\n--\n--a\n-- b\n" + content.replace(b"\r", b"").replace(b"--", b"-"),
    }.get(encoding.strip().lower(), _uuencoded(content))
    disposition = draw(st.sampled_from(["attachment", "ATTACHMENT", "inline"]))
    headers = [
        f"Content-Type: {draw(_TYPES)}",
        f"Content-Disposition : {disposition};\n {draw(_NAMES)}".replace(" :", ":"),
        f"Content-Transfer-Encoding: {encoding}",
    ]
    return _entity(draw(st.permutations(headers)), written)


def _uuencoded(content: bytes) -> bytes:
    lines = (binascii.b2a_uu(content[start : start + 45], backtick=True) for start in range(0, len(content), 45))
    return b"begin 644 a.bin\n" + b"".join(lines) + b"`\nend\n"


def _entity(headers: list[str], body: bytes) -> bytes:
    return "".join(f"{header}\n" for header in headers).encode("latin-1") + b"\n" + body


_TEXT = st.sampled_from([
    _entity(["Content-Type: text/plain; charset=utf-8"], "Größe\n-- \nGruß".encode()),
    _entity(["Content-Type: text/html"], b"<p>a"),
    b"\nno header",
])  # fmt: skip


@st.composite
def _multipart(draw: st.DrawFn, parts: st.SearchStrategy[bytes]) -> bytes:
    children = draw(st.lists(parts, min_size=1, max_size=4))
    content = b"".join(children)
    boundary = draw(_BOUNDARY.filter(lambda boundary: boundary.encode() not in content))
    subtype = draw(st.sampled_from(["mixed", "MIXED", "related", "alternative", "report", "x-unknown"]))
    delimiter = b"\n--" + boundary.encode()
    body = draw(st.sampled_from([b"", b"preamble\n--not\n"]))
    body += b"".join(delimiter + draw(st.sampled_from([b"\n", b" \t\n"])) + child for child in children)
    body += draw(st.sampled_from([delimiter + b"--\n", delimiter + b"--", delimiter + b"-- \nepilogue\n"]))
    return _entity([f'Content-Type: multipart/{subtype}{draw(_PARAMETERS)}; boundary="{boundary}"'], body)


@st.composite
def _mail(draw: st.DrawFn) -> bytes:
    tree = draw(st.recursive(_leaf() | _TEXT, _multipart, max_leaves=8).flatmap(lambda part: _multipart(st.just(part))))
    raw = b"From: a@b.example\nSubject: x\n" + tree
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if draw(st.booleans()) else raw


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(raw=_mail())
def test_nothing_in_generated_mails_is_missed(folder: Path, raw: bytes) -> None:
    found = ours(raw)
    assert not found_by_python(raw) - found
    if b"uuencode" not in raw:  # the simulator leaves that as it is
        assert not found_by_simulator(raw, folder) - found


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(raw=_mail(), cut=st.floats(0, 1), junk=st.sampled_from([b"", b"\n", b"\0\r", b"X-broken\n", b"--\n", b"\n\n"]))
def test_of_a_damaged_mail_only_our_own_error_comes_out(raw: bytes, cut: float, junk: bytes) -> None:
    at = int(len(raw) * cut)
    for damaged in (raw[:at], raw[at:], raw[:at] + junk + raw[at:]):
        try:
            members = mime.open_mail(io.BytesIO(damaged), max_parts=20).members
        except PartRejected:
            continue
        for member in members:
            b"".join(member.open())


def test_a_header_that_lacks_its_blank_line_costs_no_content() -> None:
    content = base64.encodebytes(b"%PDF-1.4" * 20)
    raw = b"Content-Type: multipart/mixed; boundary=b\n--b\nContent-Transfer-Encoding: base64\n"
    raw += b"Content-Type: application/pdf; name=a.pdf\n" + content + b"\n--b--\n"
    assert found_by_python(raw) == Counter([b"%PDF-1.4" * 20])
    assert ours(raw)[b"%PDF-1.4" * 20] == 1


def test_a_mail_in_a_mail_in_a_mail_ends_at_the_limit() -> None:
    raw = b"Subject: innen\n\nText"
    for level in range(60):
        boundary = b"b%d" % level
        raw = b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\nContent-Type: message/rfc822\n\n%b\n--%b--\n" % (
            boundary, boundary, raw, boundary,
        )  # fmt: skip
    parts = sort(raw, name="a.eml", limits=Limits(depth=5))
    assert [part.disposition for part in parts[:-2]] == [Disposition.CONTAINER] * 4
    assert parts[-2].rule is Rule.MAIL_WITHOUT_DOCUMENTS
    assert parts[-1].rule is Rule.TOO_DEEP
