"""Nothing is lost or doubled by the loss of a store, or of both, nor by a move: docs/deploy.md, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import pytest

from local.drill import CHANGING_MIME, Drill, Result
from local.stack import Stack

MAILS = 4
CASES = ("Postgres lost", "Documents lost", "Both lost", "Moved to another region")


@pytest.fixture(scope="module")
def results(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Result]]:  # noqa: ARG001 - for its effect
    """One stack goes through all cases."""
    data = tmp_path_factory.mktemp("drill")
    with Stack(data / "stack", simulator_arguments=CHANGING_MIME) as stack:
        drill = Drill(stack, data / "backup", mails=MAILS, step=lambda _: nullcontext())
        yield {result.case: result for result in drill.run()}


@pytest.mark.parametrize("case", CASES)
def test_every_mail_is_there_once_and_as_it_was_sent(case: str, results: Mapping[str, Result]) -> None:
    result = results[case]
    assert len(result.sent) == (CASES.index(case) + 2) * MAILS * 3 // 4  # and those before the first case
    assert result.lost == result.doubled == result.spoiled == frozenset()


def test_no_case_is_left_out(results: Mapping[str, Result]) -> None:
    assert tuple(results) == CASES
