"""The fuzz targets: every reader of strangers' bytes, one function each, which raises nothing.

`python -m tests.fuzz TARGET` runs one of them under coverage guidance; tests/unit/test_fuzz.py under hypothesis.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.codes import Disposition
from ingest.documents.budget import Budget
from ingest.documents.detection import detect
from ingest.documents.headers import fields
from ingest.documents.invoices.einvoice import read_invoice
from ingest.documents.pdf.reading import read_pdf
from ingest.documents.rules import decide_mail_without_documents
from ingest.documents.sorting import Sorter
from ingest.documents.spool import BLOCK, HEAD, Spool
from ingest.documents.unpacking import cms, mime, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import PartRejected
from ingest.model.blob import StoredBlob
from ingest.model.limits import Limits
from ingest.model.part import Part
from local.graph.mail.content import Patched
from local.graph.mail.mime import new_boundaries, store_and_parse
from local.graph.mail.representation import nested_message_json

SAMPLES = Path(__file__).parents[1] / "mails" / "samples"
MOST = 100  # parts
LIMITS = Limits(depth=4, parts=MOST, expanded_bytes=4 * 1024 * 1024, ratio=50)


def _drain(container: Container) -> None:
    """Read every member of a container."""
    container.shown()
    for member in container.members:
        if member.embedded is not None:
            _drain(member.embedded)
        taken = 0
        try:
            for block in member.open():
                taken += len(block)
                if taken > LIMITS.expanded_bytes:
                    break
        except PartRejected:
            continue


def _opened(open_container: Callable[[], Container]) -> None:
    try:
        _drain(open_container())
    except PartRejected:
        return


def fuzz_mime(data: bytes) -> None:
    """Read an attached mail."""
    _opened(lambda: mime.open_mail(io.BytesIO(data), max_parts=MOST))
    try:
        mime.find_body(io.BytesIO(data), max_parts=MOST)
    except PartRejected:
        return


def fuzz_zip(data: bytes) -> None:
    """Read an archive."""
    _opened(lambda: zip.open_zip(io.BytesIO(data), max_parts=MOST))


def fuzz_tnef(data: bytes) -> None:
    """Read a winmail.dat."""
    _opened(lambda: tnef.open_tnef(io.BytesIO(data), max_parts=MOST))


def fuzz_msg(data: bytes) -> None:
    """Read an Outlook message."""
    _opened(lambda: msg.open_msg(io.BytesIO(data), max_parts=MOST))


def fuzz_cms(data: bytes) -> None:
    """Read a signed message."""
    cms.kind_of(io.BytesIO(data))
    _opened(lambda: cms.open_signed(io.BytesIO(data), "smime.p7m"))


def fuzz_xml(data: bytes) -> None:
    """Read an e-invoice."""
    read_invoice([data[: len(data) // 2], data[len(data) // 2 :]])


def fuzz_pdf(data: bytes) -> None:
    """Read a PDF that names an embedded file, so that pypdf reads it."""
    marked = data if b"/EmbeddedFile" in data else data + b"\n% /EmbeddedFile"
    read_pdf(io.BytesIO(marked), len(marked), budget=Budget(LIMITS))


def fuzz_detection(data: bytes) -> None:
    """Detect any content, under any name."""
    name, _, content = data.partition(b"\n")
    text = name.decode("utf-8", "replace")
    detect(io.BytesIO(content), content[:HEAD], name=text, declared_type=text)


def fuzz_headers(data: bytes) -> None:
    """Read a header block, and all that the pipeline asks of one. Addresses have one `@` outside of quotes."""
    header = fields.parse_headers(data)
    for ask in (fields.subject, fields.sender, fields.message_id, fields.newest_received):
        ask(header)
    found = (*fields.to(header), *fields.cc(header), *fields.received_for(header))
    assert all("@" in address for address in found)
    decide_mail_without_documents(header)


def fuzz_sorting(data: bytes) -> None:
    """Sort any content as the attachment of a mail: every part gets a disposition."""
    sort(data)


def sort(data: bytes, name: str = "x", limits: Limits = LIMITS) -> tuple[Part, ...]:
    """Return the parts of an attachment; parts in = dispositions out."""

    def store(path: tuple[int, ...], _: str, spool: Spool) -> StoredBlob:
        digest = hashlib.sha256()
        for block in spool.blocks():
            digest.update(block)
        blob = ".".join(map(str, path))
        return StoredBlob(container="documents", name=blob, size=spool.size, sha256=digest.hexdigest())

    budget = Budget(limits)
    sorter = Sorter(limits=limits, budget=budget, store=store)
    with Spool(budget) as spool:
        spool.fill(data[start : start + BLOCK] for start in range(0, len(data), BLOCK))
        sorter.take(Member(name=name), spool, shown=frozenset)
    parts = sorter.parts()
    assert [part.position for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= 1 + limits.parts
    containers = {part.position for part in parts if part.disposition is Disposition.CONTAINER}
    documents = {part.position for part in parts if part.disposition is Disposition.DOCUMENT}
    assert all(part.parent is None or part.parent in containers | documents for part in parts)
    assert all(part.blob.sha256 == part.sha256 for part in parts if part.blob)
    return parts


def fuzz_simulator(data: bytes) -> None:
    """Receive a mail in the simulator, and list it as Graph does."""
    with TemporaryDirectory() as folder:
        content, received = store_and_parse(data, at=Path(folder) / "mail")
        nested_message_json(received)
        Patched(content=content, patches=new_boundaries(received.boundaries)).read()


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): target for name, target in list(globals().items()) if name.startswith("fuzz_")
}


def seeds() -> list[bytes]:
    """Return the samples and their attachments, from which mutations start."""
    found: list[bytes] = []
    for path in sorted(SAMPLES.glob("*.eml")):
        raw = path.read_bytes()
        if len(raw) > 64 * 1024:
            continue
        found.append(raw)
        file = io.BytesIO(raw)
        found += [b"".join(entity.content(file)) for entity in mime.walk(file, max_parts=1000)]
    return sorted({seed for seed in found if seed}, key=len)
