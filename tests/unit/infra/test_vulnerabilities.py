"""The look-up of known vulnerabilities never passes for done where nothing was looked up."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
SKIPPED = {"name": "skipped", "skip_reason": "Dependency not found on PyPI and could not be audited: skipped (1.0)"}
BROKEN = {"name": "broken", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}]}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vulnerabilities", ROOT / ".ci" / "vulnerabilities.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "1 of 1 packages were looked up, 0 known vulnerabilities."),
        ([SOUND, SKIPPED], 0, "::warning::Not looked up: skipped"),
        ([SKIPPED], 2, "0 of 1 packages were looked up, 0 known vulnerabilities."),
        ([], 2, "0 of 0 packages were looked up, 0 known vulnerabilities."),
        ([SOUND, BROKEN, SKIPPED], 1, "::error::broken 1.0: PYSEC-2026-1, mended in 1.1"),
    ],
)
def test_the_verdict_names_what_is_broken_and_what_was_not_looked_up(
    script: ModuleType, packages: list[dict[str, Any]], code: int, said: str
) -> None:
    found, lines = script.verdict(packages)
    assert found == code
    assert said in lines


def test_every_file_of_pinned_packages_is_looked_up(script: ModuleType) -> None:
    assert set(script.REQUIREMENTS) == {path.name for path in ROOT.glob("requirements*.txt")}
