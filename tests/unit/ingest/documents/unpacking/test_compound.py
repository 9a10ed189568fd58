"""Compound files, read as olefile reads them, and at a cost that follows their size."""

from __future__ import annotations

import io
from collections.abc import Iterator

import olefile
import pytest

from ingest.codes import Rule
from ingest.documents.unpacking.compound import MAX_ENTRIES, CompoundFile, Entry, Kind
from ingest.errors import PartRejected
from tests.mails.compound import Storage, compound_file

CONTENT: Storage = {
    "small": b"s" * 100,
    "Large": bytes(range(256)) * 40,
    "empty": b"",
    "at the cutoff": b"c" * 4096,
    "below the cutoff": b"b" * 4095,
    "Storage": {"inner": b"i" * 5000, "Größe": b"g", "deeper": {"a": b"1", "b": b"2" * 4097}},
}


def streams(compound: CompoundFile, storage: Entry, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    for name, entry in compound.children(storage).items():
        if entry.kind == Kind.STORAGE:
            yield from streams(compound, entry, (*path, name))
        else:
            yield "/".join((*path, name)), b"".join(compound.blocks(entry))


def as_olefile_reads(raw: bytes) -> dict[str, bytes]:
    with olefile.OleFileIO(raw) as ole:
        return {"/".join(str(name) for name in path).lower(): ole.openstream(path).read() for path in ole.listdir()}


@pytest.mark.parametrize("content", [CONTENT, {"one": b"x"}, {f"{number}": b"n" * number for number in range(300)}])
def test_every_stream_is_read_as_another_library_reads_it(content: Storage) -> None:
    raw = compound_file(content)
    compound = CompoundFile(io.BytesIO(raw))
    assert dict(streams(compound, compound.root)) == as_olefile_reads(raw)


def test_a_table_with_places_beyond_the_header_is_read() -> None:
    raw = compound_file({"large": bytes(range(256)) * 32_000, "small": b"s"})
    compound = CompoundFile(io.BytesIO(raw))
    assert dict(streams(compound, compound.root)) == as_olefile_reads(raw)


def test_a_circle_ends() -> None:
    raw = bytearray(compound_file({"a": b"x" * 10_000}))
    table = len(raw) - 512  # of one sector
    raw[table : table + 4] = (0).to_bytes(4, "little")  # the first sector of the stream points at itself
    compound = CompoundFile(io.BytesIO(bytes(raw)))
    with pytest.raises(PartRejected) as refused:
        dict(streams(compound, compound.root))
    assert refused.value.rule is Rule.UNREADABLE


def test_a_directory_is_bounded() -> None:
    raw = compound_file({f"{number}": b"" for number in range(MAX_ENTRIES + 1)})
    with pytest.raises(PartRejected) as refused:
        CompoundFile(io.BytesIO(raw))
    assert refused.value.rule is Rule.TOO_MANY


def test_an_entry_has_one_place() -> None:
    raw = bytearray(compound_file({"a": {"b": b"1"}}))
    at = raw.find("b".encode("utf-16-le") + bytes(62))  # the entry of the stream
    raw[at + 66] = Kind.STORAGE
    raw[at + 76 : at + 80] = (1).to_bytes(4, "little")  # its child is the storage around it
    compound = CompoundFile(io.BytesIO(bytes(raw)))
    assert list(streams(compound, compound.root)) == []
