"""PDFs are read in processes of their own, which are killed when a file passes its limits."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, override

import psutil
import pytest

from ingest.codes import Rule
from ingest.documents.budget import Budget
from ingest.documents.pdf.findings import INTRICATE, Pdf
from ingest.documents.pdf.reader_pool import ReaderPool
from ingest.documents.pdf.reader_process import MEMORY
from ingest.documents.spool import Spool
from ingest.errors import DiskUnavailable, LeaseLost, PartRejected, ReaderUnavailable
from ingest.model.invoice import InvoiceKind
from ingest.model.limits import Limits
from tests.mails import invoices

pytestmark = pytest.mark.shares("postgres")

INVOICE = invoices.zugferd("Rechnung", invoices.cii("ZF-1"))


@pytest.fixture
def pool() -> Iterator[ReaderPool]:
    pool = ReaderPool(processes=1)
    yield pool
    pool.close()
    assert processes() == []


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "reader_process" in " ".join(child.cmdline())]


@contextmanager
def spooled(content: bytes) -> Iterator[IO[bytes]]:
    with Spool() as spool:
        spool.fill([content])
        yield spool.file


def read(pool: ReaderPool, content: bytes, budget: Budget | None = None) -> Pdf:
    with spooled(content) as file:
        return pool.read(file, budget or Budget(Limits()))


def number_of(pdf: Pdf) -> str | None:
    assert pdf.invoice is not None
    assert pdf.invoice.kind is InvoiceKind.ZUGFERD
    return pdf.invoice.number


def objects(count: int) -> bytes:
    """A PDF of so many objects, with a table in which pypdf looks at each of them."""
    table = zlib.compress(bytes(5 * count))
    head = b"%PDF-1.7\n%/EmbeddedFile\n"
    stream = b"10 0 obj\n<</Type/XRef/Size %d/W[1 3 1]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n" % (
        count,
        len(table),
    )
    end = b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)
    return head + stream + table + end


def test_one_process_serves_many_files_of_any_size(pool: ReaderPool) -> None:
    assert number_of(read(pool, INVOICE)) == "ZF-1"
    (process,) = processes()
    assert read(pool, invoices.encrypted_pdf("Lohn")).encrypted
    large = INVOICE.replace(b"%PDF-", b"%PDF-", 1) + b"\n" + b"%" * 2_000_000
    assert read(pool, large) is not None
    assert number_of(read(pool, INVOICE)) == "ZF-1"
    assert processes() == [process]


def test_a_damaged_file_is_a_finding(pool: ReaderPool) -> None:
    problem = read(pool, b"%PDF-1.7 /EmbeddedFile").problem
    assert problem is not None
    assert problem.startswith("the PDF is damaged")


def test_a_process_has_no_environment(pool: ReaderPool) -> None:
    read(pool, INVOICE)
    (process,) = processes()
    assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""


def _may_leave_the_network() -> bool:
    """Return whether the kernel gives a process without rights a network of its own."""
    code = "import os; os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0  # noqa: S603 - our own interpreter and code


def test_a_process_has_no_network_but_where_the_kernel_refuses(pool: ReaderPool) -> None:
    if not _may_leave_the_network():
        pytest.skip("the kernel lets no process leave the network")
    assert number_of(read(pool, INVOICE)) == "ZF-1"
    (process,) = processes()
    assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    devices = Path(f"/proc/{process.pid}/net/dev").read_text(encoding="ascii").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert Path(f"/proc/{process.pid}/net/route").read_text(encoding="ascii").splitlines()[1:] == []


def test_a_process_has_a_limit_of_memory(pool: ReaderPool) -> None:
    read(pool, INVOICE)
    (process,) = processes()
    soft, hard = process.rlimit(psutil.RLIMIT_AS)
    assert soft == hard
    assert 0 < hard <= process.memory_info().vms + MEMORY


def test_a_file_that_takes_too_long_ends_its_process_and_the_next_file_gets_another(pool: ReaderPool) -> None:
    costly = objects(400_000) + b"\n" + b"%" * 1_600_000  # as long as so many objects are
    budget = Budget(Limits(processor_seconds=0.3))
    with pytest.raises(PartRejected) as refused:
        read(pool, costly, budget)
    assert refused.value.rule is Rule.TOO_COSTLY
    with pytest.raises(PartRejected):
        budget.ask()
    assert number_of(read(pool, INVOICE)) == "ZF-1"


def test_more_objects_than_the_file_can_have_are_not_read(pool: ReaderPool) -> None:
    found = read(pool, objects(1_000_000))
    assert found.problem is not None


def test_a_process_that_dies_is_replaced(pool: ReaderPool) -> None:
    read(pool, INVOICE)
    (process,) = processes()
    process.kill()
    assert read(pool, INVOICE).problem == INTRICATE
    assert number_of(read(pool, INVOICE)) == "ZF-1"


def test_threads_share_the_processes() -> None:
    pool = ReaderPool(processes=2)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: number_of(read(pool, INVOICE)), range(40)))
        assert found == ["ZF-1"] * 40
        assert len(processes()) <= 2
    finally:
        pool.close()
    assert processes() == []


def test_a_lost_lease_ends_the_wait_for_a_process() -> None:
    def lost() -> None:
        raise LeaseLost("lost")

    seconds = iter(range(0, 1000, 10))
    budget = Budget(Limits(), keep_alive=lost, clock=lambda: float(next(seconds)))
    all_at_work = ReaderPool(processes=0)
    with spooled(INVOICE) as file, pytest.raises(LeaseLost):
        all_at_work.read(file, budget)


def test_a_process_that_can_not_be_started_counts_against_no_mail(pool: ReaderPool) -> None:
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with spooled(INVOICE) as file:
        file.fileno()
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, most))
        try:
            with pytest.raises(ReaderUnavailable):
                pool.read(file, Budget(Limits()))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    assert number_of(read(pool, INVOICE)) == "ZF-1"


class _FullDisk(tempfile.SpooledTemporaryFile[bytes]):
    """A file in memory that finds no room on the disk."""

    @override
    def fileno(self) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_counts_against_no_mail(pool: ReaderPool) -> None:
    with _FullDisk() as file, pytest.raises(DiskUnavailable):
        pool.read(file, Budget(Limits()))
    assert number_of(read(pool, INVOICE)) == "ZF-1"
