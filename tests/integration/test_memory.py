"""Memory does not follow what a sender packs: peaks of a process that files a bomb, and one of 150 MB.

In a process of its own, with its peak measured; Graph and Blob are left out, the upload's own blocks are not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).parents[2]
ALLOWED = 64 * 1024 * 1024  # bytes over idle

SCRIPT = """
import base64, hashlib, io, json, os, struct, sys, zipfile, zlib
from contextlib import contextmanager
from ingest.documents.pdf import reading # idle is with everything loaded
from ingest.documents import detection # idle is with everything loaded
from ingest.documents.invoices import einvoice # idle is with everything loaded
import puremagic, pypdf
from ingest.ports import UPLOAD_BLOCK
from ingest.model.blob import StoredBlob
from ingest.model.limits import Limits
from ingest.documents.budget import Budget
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool
from ingest.documents.unpacking.container import Member

MIB = 1 << 20

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def bomb(size):
    # One block of zeros deflated and flushed, again and again: 10 GiB cost nothing to make.
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(16 * MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    count = size // (16 * MIB)
    packed = len(block) * count + 2
    name = b"nullen.bin"
    local = struct.pack("<4sHHHHHIIIHH", b"PK\\3\\4", 45, 0, 8, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
    zip64 = struct.pack("<HHQQ", 1, 16, DECLARED or size, packed)
    yield local + name + zip64
    for _ in range(count):
        yield block
    yield b"\\3\\0"
    start = len(local + name + zip64) + packed
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\\1\\2", 45, 45, 0, 8, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF,
        len(name), 20, 0, 0, 0, 0, 0) + name + zip64
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\\6\\6", 44, 45, 45, 0, 0, 1, 1, len(central), start)
    locator = struct.pack("<4sIQI", b"PK\\6\\7", 0, start + len(central), 1)
    yield central + end64 + locator + struct.pack("<4sHHHHIIH", b"PK\\5\\6", 0, 0, 1, 1, len(central), start, 0)

def noise(size):
    block = os.urandom(MIB)
    for _ in range(size // MIB):
        yield block

def scan(size):
    yield b"%PDF-1.4\\n/EmbeddedFile "
    yield from noise(size)

def mail(size):
    yield b'MIME-Version: 1.0\\r\\nSubject: x\\r\\nContent-Type: multipart/mixed; boundary="b"\\r\\n\\r\\n--b\\r\\n'
    yield b"Content-Type: application/pdf; name=scan.pdf\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\n"
    line = base64.encodebytes(os.urandom(57 * 4096)).replace(b"\\n", b"\\r\\n")
    for _ in range(size // len(line)):
        yield line
    yield b"\\r\\n--b--\\r\\n"

def invoice(size):
    yield b'<?xml version="1.0"?><Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"><ID>1</ID><A>'
    for _ in range(size // MIB):
        yield b"x" * MIB
    yield b"</A></Invoice>"

def signed(size):
    oid = bytes.fromhex("06092a864886f70d010702")
    data = bytes.fromhex("06092a864886f70d010701")
    yield b"\\x30\\x80" + oid + bytes.fromhex("a0803080020101310030 80") + data + bytes.fromhex("a0802480")
    for block in mail(size):
        yield b"\\x04\\x84" + struct.pack(">I", len(block)) + block
    yield bytes(8)

def store(path, name, spool):
    digest = hashlib.sha256()
    for block in spool.upload(UPLOAD_BLOCK):
        digest.update(block)
    return StoredBlob(container="documents", name=str(path), size=spool.size, sha256=digest.hexdigest())

CASES = {
    "bomb of 10 GiB": ("bombe.zip", lambda: bomb(10 << 30), 0),
    "bomb of 10 GiB that says it is small": ("bombe.zip", lambda: bomb(10 << 30), 200 * MIB),
    "attachment of 150 MB": ("daten.bin", lambda: noise(150 * MIB), 0),
    "PDF of 100 MB": ("scan.pdf", lambda: scan(100 * MIB), 0),
    "attached mail of 100 MB": ("mail.eml", lambda: mail(100 * MIB), 0),
    "XML of 100 MB": ("rechnung.xml", lambda: invoice(100 * MIB), 0),
    "signed mail of 100 MB": ("smime.p7m", lambda: signed(100 * MIB), 0),
}
name, make, DECLARED = CASES[sys.argv[1]]
budget = Budget(Limits())
sorter = Sorter(limits=Limits(), budget=budget, store=store)
idle = peak()
with Spool(budget) as spool:
    spool.fill(make())
    sorter.take(Member(name=name), spool, shown=frozenset)
parts = sorter.parts()
print(json.dumps({"over_idle": peak() - idle, "parts": [[p.disposition, p.rule, p.size] for p in parts]}))
"""
CASES = {
    "bomb of 10 GiB": ["container zip_archive", "rejected too_large"],
    "bomb of 10 GiB that says it is small": ["container zip_archive", "rejected unreadable"],
    "attachment of 150 MB": ["document file"],
    "PDF of 100 MB": ["document file"],
    "attached mail of 100 MB": ["container attached_mail", "document file"],
    "XML of 100 MB": ["document file"],
    "signed mail of 100 MB": ["container signed_mail", "container attached_mail", "document file"],
}


@pytest.mark.parametrize("case", CASES)
def test_memory_does_not_follow_the_size_of_a_mail(case: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, case], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert [f"{disposition} {rule}" for disposition, rule, _ in measured["parts"]] == CASES[case]
    print(case, measured)  # noqa: T201 - the number, for a run with -s
    assert measured["over_idle"] < ALLOWED
