"""The DMS's example for serving a stranger's file: nothing of the file runs in the DMS's origin."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

_EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "serve_document.py"


def _headers_of() -> Callable[[str, str | None, Sequence[str]], dict[str, str]]:
    spec = importlib.util.spec_from_file_location("serve_document", _EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[str, str | None, Sequence[str]], dict[str, str]]", module.headers_of)


headers_of = _headers_of()


def test_a_plain_pdf_is_shown_under_its_name() -> None:
    headers = headers_of("Größe (1).pdf", "application/pdf", [])
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%281%29.pdf"


@pytest.mark.parametrize(
    ("content_type", "active"),
    [
        ("application/pdf", ["script"]),
        ("text/html", []),
        ("image/svg+xml", []),
        ("application/xml", []),
        ("message/rfc822", []),
        (None, []),
    ],
)
def test_what_could_act_is_a_download_of_no_type(content_type: str | None, active: list[str]) -> None:
    headers = headers_of("a", content_type, active)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment;")


@given(name=st.text(max_size=300), content_type=st.none() | st.text(max_size=40))
def test_no_name_and_no_type_reaches_beyond_its_header(name: str, content_type: str | None) -> None:
    headers = headers_of(name, content_type, [])
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable()
    disposition, _, written = headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert disposition in {"attachment", "inline"}
    assert not set(written) & set(" ;\"'()<>@,/\\")
    assert not set(unquote(written)) & set("/\\\r\n\0\u202e")


def test_nothing_is_guessed_and_nothing_runs() -> None:
    headers = headers_of("a.pdf", "application/pdf", [])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "allow-scripts" not in headers["Content-Security-Policy"]
