"""Recipients: the same from a mail's own header as Graph shows of it, here as the simulator converts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.documents.headers import fields as read
from local.graph.mail.mime import parse

_ATOM = st.text(alphabet="abcdefgXYZ0189!#$%&'*+-/=?^_`{|}~üé", min_size=1, max_size=8).filter(lambda a: "=?" not in a)
_DOTTED = st.lists(_ATOM, min_size=1, max_size=3).map(".".join)
_BLANK = st.sampled_from(["", "", " ", "\t", "\r\n ", " (x@y, <z@z>) ", "\r\n\t(innen (noch) tiefer \\) )"])
_QUOTED = st.text(alphabet="abc, @<>:;()[].é", max_size=12).map(lambda inner: f'"{inner}"')
_LOCAL = st.one_of(_DOTTED, st.text(alphabet="ab c@,;:<>", min_size=1).map(lambda inner: f'" {inner}"'))
_ADDRESS = st.builds("{}@{}".format, _LOCAL, _DOTTED)
_WORD = st.sampled_from(["=?utf-8?q?M=C3=BCller?=", "=?utf-8?b?dXBsb2FkLnhAZG1z?=", "=?gb2312?q?=E9=46?="])
_NAME = st.one_of(_QUOTED, _WORD, st.lists(_ATOM, min_size=1, max_size=3).map(" ".join))


@st.composite
def _mailbox(draw: st.DrawFn) -> tuple[str, list[str]]:
    address = draw(_ADDRESS)
    if draw(st.booleans()):
        return f"{draw(_BLANK)}{address}{draw(_BLANK)}", [address]
    route = draw(st.sampled_from(["", "", "@hop.example:"]))
    return f"{draw(_NAME)}{draw(_BLANK)}<{draw(_BLANK)}{route}{address}{draw(_BLANK)}>{draw(_BLANK)}", [address]


@st.composite
def _field(draw: st.DrawFn) -> tuple[str, list[str]]:
    written, expected = [], []
    for mailboxes in draw(st.lists(st.lists(_mailbox(), max_size=3), min_size=1, max_size=3)):
        text = ",".join(box for box, _ in mailboxes)
        written.append(f"{draw(_NAME)}:{text};" if draw(st.booleans()) or not mailboxes else text)
        expected += [address for _, addresses in mailboxes for address in addresses]
    return ",".join(written), expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(to=st.lists(_field(), max_size=3), cc=st.lists(_field(), max_size=2))
def test_the_recipients_are_those_that_graph_shows(
    folder: Path, to: list[tuple[str, list[str]]], cc: list[tuple[str, list[str]]]
) -> None:
    fields = [f"To: {text}\r\n" for text, _ in to] + [f"CC: {text}\r\n" for text, _ in cc]
    mail = "Subject: a\r\n" + "".join(fields) + "\r\nbody"
    path = folder / "mail.eml"
    path.write_bytes(mail.encode())
    shown = parse(path, attachments_at=folder / "attachment")
    headers = read.parse_headers(mail.encode())
    assert read.to(headers) == tuple(recipient.address for recipient in shown.to)
    assert read.cc(headers) == tuple(recipient.address for recipient in shown.cc)
    assert read.to(headers) == tuple(address for _, addresses in to for address in addresses)
