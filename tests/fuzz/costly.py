"""Search for content that costs more than its budget: `python -m tests.fuzz.costly [--seconds 60]`.

Hypothesis builds contents of one size, of repeated tokens inside of containers, and aims at processor time. The
costliest contents are then made large, and one mail of them must stay within 5 s of processor time and 64 MiB.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings, target
from hypothesis import strategies as st

from ingest.model.limits import Limits
from tests.fuzz.targets import sort
from tests.mails import hostile

MOST_SECONDS = 5.0
MOST_MEMORY = 64 * 1024 * 1024  # bytes above those before
SMALL = 100_000  # bytes, members of containers together
LARGE = 20_000_000  # the same of the costliest contents
EXAMPLES = 200  # of one round
_KEPT = 10
_TOKENS = (
    *(b"--", b"--b", b"\n", b"\r\n", b" ", b";", b'="', b'"', b"=?", b"?=", b"=?utf-8?q?", b"cid:", b"%41", b"a: b\n"),
    *(b"Content-Type: ", b"multipart/mixed; boundary=b", b"message/rfc822", b"name*0*=", b"filename=", b"\\"),
    *(b"<a>", b"</a>", b"<a/>", b"<!--", b"-->", b"<?a?>", b"&#65;", b"<![CDATA[", b'xmlns="', b"<Invoice "),
    *(b"\x24\x80", b"\x04\x00", b"\x30\x80", b"\x00\x00", b"\xff" * 4, b"PK\1\2", b"PK\3\4", b"\x01\x00\x00\x00"),
    *(
        b"/EmbeddedFile",
        b"/Encrypt",
        b"obj",
        b"<<",
        b">>",
        b"[",
        b"(",
        b"factur-x.xml",
        b".xml",
        b"stream\n",
        b"xref\n",
    ),
    *(b"begin:vcard", b"#!/", b"begin 644 a\n", b"=ybegin ", b"From: a@b.c\n"),
)
_HEADS = (
    *(b"", b"%PDF-1.7\n", b"%PDF-1.7\n/EmbeddedFile ", b"<?xml version='1.0'?>", b"From: a\nTo: b\nSubject: c\n"),
    b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2">',
    b"From: a\nContent-Transfer-Encoding: x-yenc\n\n",  # its lines come one by one
    b"From: a\nContent-Transfer-Encoding: base64\n\nQQ==\n",  # so do those behind a padding
    b"From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n",
    b"From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n",
    bytes.fromhex("308006092a864886f70d010702a080308002010131003080 06092a864886f70d010701 a0802480"),
    bytes.fromhex("308006092a864886f70d010702a0803080020101318030"),
    bytes.fromhex("789f3e220000") + b"\x02\x02\x90\x06\x00\x00\x00\x00\x00\x00\x00",
    bytes.fromhex("d0cf11e0a1b11ae1"),
)
_NAMES = ("a", "a.eml", "a.xml", "a.pdf", "a.zip", "a.p7m", "winmail.dat", "a.msg")


@dataclass(frozen=True, kw_only=True)
class Content:
    """A content by its parts, so that a costly one can be made larger."""

    head: bytes
    pattern: bytes
    name: str
    packed: int  # how many copies in a zip archive, 0 for none
    encoded: bool

    def made(self, size: int) -> bytes:
        """Return the content with the pattern repeated up to about `size` bytes."""
        body = self.head + self.pattern * max(1, size // len(self.pattern))
        if self.encoded:
            entity = b"Content-Type: a/b; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            body = hostile.multipart(entity + base64.encodebytes(body))
        if not self.packed:
            return body
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(self.packed):
                archive.writestr(f"{number}{self.name}", body + str(number).encode())
        return packed.getvalue()


contents = st.builds(
    Content,
    head=st.sampled_from(_HEADS),
    pattern=st.lists(st.sampled_from(_TOKENS), min_size=1, max_size=5).map(b"".join),
    name=st.sampled_from(_NAMES),
    packed=st.sampled_from([0, 0, 0, 1, 10]),
    encoded=st.booleans(),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Processor seconds, and bytes of memory above those before."""

    seconds: float
    memory: int


def cost_of(data: bytes, name: str) -> Cost:
    """Sort one content with the limits of the app. Linux only: the peak of memory is that of /proc."""
    before = _forget_peak()
    began = time.process_time()
    sort(data, name, Limits())
    return Cost(seconds=time.process_time() - began, memory=_status("VmHWM") - before)


def search(seconds: float) -> tuple[Content, Cost]:
    """Search, make the costliest contents large, and return the costliest of those."""
    until = time.monotonic() + seconds
    found: dict[Content, float] = {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.target],
        suppress_health_check=list(HealthCheck),
    )
    @given(contents)
    def one(content: Content) -> None:
        if time.monotonic() > until:
            return
        seconds = cost_of(content.made(SMALL // max(1, content.packed)), content.name).seconds
        target(seconds, label="processor seconds")
        found[content] = seconds

    number = 0
    while time.monotonic() < until:
        seed(number)(one)()
        number += 1
    ascending = sorted(found, key=lambda content: found[content])
    costliest = list({(content.head, content.packed): content for content in ascending}.values())[-_KEPT:]
    large = [(content, cost_of(content.made(LARGE // max(1, content.packed)), content.name)) for content in costliest]
    worst = max(large, key=lambda pair: pair[1].seconds)
    print(f"{len(found):,} contents in {number} rounds")  # noqa: T201 - for a person
    for content, cost in large:
        print(f"{cost.seconds:6.2f} s {cost.memory >> 20:4} MiB  {content}")  # noqa: T201 - for a person
    return worst


def main() -> int:
    """Return exit code 1 if a content costs more than a mail may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--content", choices=hostile.names(), help="read this content alone, and print its cost as JSON"
    )
    parser.add_argument("--size", type=int, default=LARGE, help="bytes of the content")
    options = parser.parse_args()
    if options.content:
        print(json.dumps(asdict(cost_of(hostile.content(options.content, options.size), options.content))))  # noqa: T201
        return 0
    content, cost = search(options.seconds)
    print(f"costliest: {cost.seconds:.2f} s, {cost.memory >> 20} MiB, {content}")  # noqa: T201 - for a person
    return 0 if cost.seconds <= MOST_SECONDS and cost.memory <= MOST_MEMORY else 1


def _forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    sys.exit(main())
