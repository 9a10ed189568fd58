"""Header blocks as strangers write them: every field is found, and only addresses are addresses."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.documents.headers import fields as read
from ingest.documents.headers.addresses import addresses
from ingest.documents.headers.encoded_words import decode_charset, decode_words
from ingest.documents.headers.fields import MAX_HEADER, Headers, parse_headers, read_headers

REST = b"Subject: Rechnung 4711\r\nTo: a@b.example\r\n\r\nSubject: no header any more\r\n"


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\r\n",
        b"   \t \r\n\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\r\n\r\n",
        b"From billing@supplier.example Fri Mar 14 09:12:33 2025\n",
        b">From billing@supplier.example Fri Mar 14 09:12:33 2025\n",
        b"From: x@y.example\r\nby gateway.example with SMTP\r\n",
        b"by gateway.example with SMTP\r\n subject: below a line that is no field\r\n",
        b"X-Broken; y\r\n",
        b": no name\r\n",
        b"X: subject: not here\r\n\tsubject: nor here\r\n",
        b"X: \0\r\nX: a\rSubject: behind a bare CR\r\n",
        b"DKIM-Signature: v=1; h=from:\r\n" + b" from:\r\n" * 2000,
        b"X: " + b"x" * 2_000_000 + b"\r\n",
    ],
)
def test_no_line_hides_the_fields_behind_it(before: bytes) -> None:
    headers = parse_headers(before + REST)
    assert (headers.get("subject"), read.to(headers)) == ("Rechnung 4711", ("a@b.example",))


@given(cuts=st.sets(st.integers(0, len(REST) + 6), max_size=8))
def test_blocks_may_be_cut_anywhere(cuts: set[int]) -> None:
    mail = b"\xef\xbb\xbf\r\n\n" + REST
    borders = sorted({0, len(mail), *cuts})
    blocks = [mail[start:end] for start, end in itertools.pairwise(borders)]
    assert read_headers(blocks).block == REST.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_no_more_is_taken_than_the_header_reaches_into() -> None:
    blocks = iter([b"Subject: a\r\n", b"\r\n", b"body"])
    read_headers(blocks)
    assert list(blocks) == [b"body"]


@pytest.mark.parametrize("endless", [b"x", b"X: a\n", b"\n", b" ", b"X:" + b"y" * 100])
def test_a_header_without_end_is_bounded(endless: bytes) -> None:
    def blocks() -> list[bytes]:
        return [endless * (65536 // len(endless))] * (2 * MAX_HEADER // 65536)

    assert len(read_headers(blocks()).block) <= MAX_HEADER


def test_a_header_of_nine_megabytes_is_read_to_its_end() -> None:
    mail = b"X-Filler: " + b"y" * 9_000_000 + b"\r\n" + REST
    assert parse_headers(mail).get("subject") == "Rechnung 4711"


def test_names_are_found_in_any_case_and_with_blanks_before_the_colon() -> None:
    headers = parse_headers(b"SUBJECT \t: a\nsubject:b\nSubject:\n\n")
    assert headers.get_all("Subject") == ("a", "b", "")
    assert headers.get("SUBJECT") == "a"
    assert "subject" in headers
    assert "subj" not in headers


def test_folding_is_undone_with_every_end_of_line() -> None:
    assert parse_headers(b"Subject: a\r\n b\n\tc\r\n\r\n").get("subject") == "a b\tc"


def test_one_bad_byte_leaves_the_other_lines_as_they_are() -> None:
    headers = parse_headers("Subject: Größe\r\n ".encode() + b"f\xfcr \x80\r\n " + "Ölöfen\r\n\r\n".encode())
    assert headers.get("subject") == "Größe für € Ölöfen"


def test_no_nul_and_no_bare_cr_come_out() -> None:
    assert parse_headers(b"Subject: a\0b\rc =?utf-8?q?=00?=\n\n").get("subject") == "a\ufffdb c \ufffd"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("=?utf-8?B?R?=", ""),
        ("=?utf-8?B?UmVjaG51bmc?=", "Rechnung"),
        ("=?utf-8?q?Gr=C3?= =?utf-8?q?=B6=C3=9Fe?=", "Größe"),
        ("=?utf-8?q?a?=\t=?iso-8859-1?q?=FC?= b", "aü b"),
        ("vor=?utf-8*de?q?_mitten_?=nach", "vor mitten nach"),
        ("=?utf-8?q?ohne Ende", "=?utf-8?q?ohne Ende"),
        ("=?gb2312?B?sGzGseqQ5mc0NzExLnBkZg==?=", "發票陳鎔4711.pdf"),
        ("=?ks_c_5601-1987?B?zrihuw==?=", decode_charset(b"\xce\xb8\xa1\xbb", "cp949")),
        ("=?iso-8859-1?q?10_=80?=", "10 €"),
        ("=?x-unbekannt?q?=C3=BC?=", "ü"),
        ("=?punycode?q?Mnchen-3ya?=", "Mnchen-3ya"),
        ("=?utf-7?q?+2AA-?=", "?"),
        ("=?utf-8?q?=FF?=", "\ufffd"),
    ],
)
def test_encoded_words_come_out_decoded_or_replaced(written: str, expected: str) -> None:
    assert decode_words(written) == expected


@pytest.mark.parametrize(
    ("label", "raw", "expected"),
    [
        ("ISO-2022-JP", b"\x1b$B@A5a=q\x1b(B", "請求書"),
        ("iso-2022-jp", b"\x1b$B-!\x1b(B", "①"),  # an addition of Windows in row 13
        ("csISO2022JP", b"\x1b(I1\x1b(B", "ｱ"),
        ("gb_2312-80", b"\xe9\x46", b"\xe9\x46".decode("gb18030")),
        ("euc-kr", b"\x8c\x63", b"\x8c\x63".decode("cp949")),
        ("Shift_JIS", b"\x87\x40", "①"),
        ("windows-1254", b"\xfd", "\u0131"),
        ("ISO-8859-9", b"\xfd", "\u0131"),
        ("iso-8859-15", b"\xa4", "€"),
        ("KOI8-R", b"\xc1", "а"),  # noqa: RUF001 - a Cyrillic letter is the point
        ("us-ascii", b"\x80", "€"),
        ("x" * 1000, b"\xc3\xbc", "ü"),
    ],
)
def test_a_label_names_the_superset_that_programs_write_under_it(label: str, raw: bytes, expected: str) -> None:
    assert decode_charset(raw, label) == expected


@given(st.text(alphabet="=?bBqQ_-utf812é \t\r\n", max_size=80), st.binary(max_size=40))
def test_every_header_has_a_text(text: str, raw: bytes) -> None:
    headers = Headers(b"Subject: " + text.encode() + raw)
    (headers.get("subject") or "").encode()
    decode_words(text).encode()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a@b, c@d", ["a@b", "c@d"]),
        ('"Nord, x@y" <a@b>', ["a@b"]),
        ("Nord (x@y, (z@z) \\)) <a@b(w@w)>", ["a@b"]),
        ("x@y.example <a@b>", ["a@b"]),
        ("=?utf-8?q?Nord,x@y,_GmbH?= <a@b>", ["a@b"]),
        ("x@y: a@b, Nord <c@d>;, e@f", ["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", []),
        ("<@hop.example,@hop2.example:a@b>", ["a@b"]),
        ("mailto:a@b, <mailto:c@d>", ["a@b", "c@d"]),
        (" a . b (c) @ d . e ", ["a.b@d.e"]),
        ('"a.b"@c, "a b"@c, "a@b"@c', ["a.b@c", '"a b"@c', '"a@b"@c']),
        ("a@b c@d", ["a@b", "c@d"]),
        ("a@b; c@d", ["a@b", "c@d"]),
        ("<a@b <c@d>, <e@f", ["a@b", "c@d", "e@f"]),
        ("a@b@c, <d@e@f>, g@h", ["g@h"]),
        ("@b, a@, @, <>, root", []),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("müller@größe.example", ["müller@größe.example"]),
        ('"without end <a@b>, c@d', []),
    ],
)
def test_only_addresses_are_addresses(written: str, expected: list[str]) -> None:
    assert list(addresses(written.encode())) == expected


def test_repeated_and_folded_fields_and_ten_thousand_recipients() -> None:
    many = ",\r\n ".join(
        f'"Empfänger, {number}" <empfaenger.{number:05}@abteilung.kunde.example>' for number in range(10_000)
    )
    headers = parse_headers(
        f"To: first@x.example\r\nCc: c@x.example\r\nTo: {many}\r\nTO: last@x.example\r\n\r\n".encode()
    )
    found = read.to(headers)
    assert (len(found), found[0], found[-1]) == (10_002, "first@x.example", "last@x.example")
    assert read.cc(headers) == ("c@x.example",)


def test_many_colons_cost_no_recursion() -> None:
    assert read.to(
        parse_headers(b"To: <first@x.example>,\r\n" + b"\ta:\r\n" * 30_000 + b" last@x.example\r\n\r\n")
    ) == (
        "first@x.example",
        "last@x.example",
    )


def test_the_newest_received_field_dates_the_mail_and_all_say_whom_it_was_for() -> None:
    headers = parse_headers(
        b"Received: from a.example (helo for <x@y>) by b.example\r\n with ESMTP id 1 for <new@dms.example>;\r\n"
        b"\tFri, 14 Mar 2025 09:12:33 +0100 (CET)\r\n"
        b"Received: by c.example for old@dms.example; Thu, 13 Mar 2025 09:12:33 GMT\r\n\r\n"
    )
    assert read.newest_received(headers) == dt.datetime(2025, 3, 14, 8, 12, 33, tzinfo=dt.UTC)
    assert read.received_for(headers) == ("new@dms.example", "old@dms.example")


@pytest.mark.parametrize("text", ["", "gestern", "Fri, 14 Mar 99999 09:12:33 +0100", "31 Feb 2025 09:12:33", "(" * 500])
def test_what_is_no_date_is_none(text: str) -> None:
    assert read.parse_date(text) is None


def test_a_mails_own_header_fields_are_read() -> None:
    headers = parse_headers(
        b'Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\nFrom: "x@y" <billing@s.example>\r\nSender: z@z\r\n'
        b"Message-ID :  <a@b> \r\nAuto-Submitted: auto-replied\r\n\r\n"
    )
    assert read.subject(headers) == "Größe"
    assert read.sender(headers) == "billing@s.example"
    assert read.message_id(headers) == "<a@b>"
    assert headers.get_all("auto-submitted") == ("auto-replied",)
    nothing = parse_headers(b"no header")
    assert (read.subject(nothing), read.sender(nothing), read.message_id(nothing)) == ("", "", None)
    assert read.newest_received(nothing) is None
