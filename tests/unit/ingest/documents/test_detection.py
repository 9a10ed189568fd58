"""What content is, told from its bytes: within bounds, whatever they are."""

from __future__ import annotations

import io

import pytest

from ingest.documents.detection import detect
from ingest.documents.media_types import TEXT


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!---->" * 1000 + b"x", TEXT),  # never came to an end where one comment may be read as many
        (b"<!---->" * 1000 + b"<html>", "text/html"),
        (b"<!-- a > b - -- c --> <!-- <svg> --><svg >", "image/svg+xml"),
        (b"<!-- <html> --> x", TEXT),
    ],
)
def test_comments_before_the_root_are_read_in_one_way_only(content: bytes, found: str) -> None:
    assert detect(io.BytesIO(content), content, name="", declared_type=None).media_type == found
