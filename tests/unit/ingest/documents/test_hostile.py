"""Hostile files: every part has a disposition, and the reading ends. Time and memory: `make bench`, `make fuzz`."""

from __future__ import annotations

import pytest

from ingest.codes import Disposition
from ingest.model import Limits
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
