"""Hostile files: every part has a disposition, and the reading ends. Time and memory: `make bench`, `make fuzz`."""

from __future__ import annotations

import io

import pytest

from ingest.codes import Disposition
from ingest.documents.spool import BLOCK
from ingest.documents.unpacking.mime import open_mail
from ingest.model.limits import Limits
from tests.fuzz.targets import sort
from tests.mails import hostile

FILES = dict(hostile.files())
SHAPES = dict(hostile.shapes(200_000))


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_kept(name: str) -> None:
    first, *_ = sort(FILES[name], name, Limits())
    assert first.disposition in {Disposition.CONTAINER, Disposition.DOCUMENT}
    assert first.blob is not None


@pytest.mark.parametrize("name", SHAPES)
def test_a_hostile_pattern_is_kept(name: str) -> None:
    first, *_ = sort(SHAPES[name], name, Limits())
    assert first.disposition in {Disposition.CONTAINER, Disposition.DOCUMENT}
    assert first.blob is not None


class Counted(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        data = super().readline(size)
        self.taken += len(data)
        return data


def test_the_content_of_a_mail_is_searched_once_and_not_once_for_each_multipart() -> None:
    content = hostile.content("multiparts.eml", 5_000_000)  # fifty multiparts in each other
    file = Counted(content)
    open_mail(file, max_parts=1000)
    assert file.taken < 3 * len(content) + 51 * 4 * BLOCK
