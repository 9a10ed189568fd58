"""Nothing is lost or doubled where Postgres and the documents are restored to an earlier day."""

from pathlib import Path

import pytest

from local.drill import TODAY, YESTERDAY, drill
from local.stack import Stack


@pytest.mark.usefixtures("unmeasured")
def test_a_restored_entrance_brings_every_mail_back(tmp_path: Path) -> None:
    with Stack(tmp_path / "stack") as stack:
        result = drill(stack, tmp_path / "backup")
    assert len(result.sent) == (YESTERDAY + TODAY) * 3 // 4
    assert result.lost == result.doubled == result.spoiled == frozenset()
