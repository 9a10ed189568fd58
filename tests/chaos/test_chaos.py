"""The short run: the same mails, deaths and faults each time, in seconds instead of minutes."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.run import SHORT, Chaos


@pytest.mark.usefixtures("unmeasured")
def test_nothing_is_lost_and_nothing_is_stored_twice(tmp_path: Path) -> None:
    result = Chaos(replace(SHORT, points=12, answers=True), tmp_path).run()
    assert (result.books.lost, result.books.duplicates, result.books.wrong) == ({}, {}, {})
    assert result.mails >= SHORT.mails
    assert result.deaths >= 12
    assert result.outages == 5
    assert all(sum(result.faults[name].values()) for name in ("Postgres", "Blob", "Graph", "Notifications"))
    # Answers to senders: some arrive, none twice, and none at a forged sender.
    assert set(result.answers.values()) == {1}
    assert not [number for number in result.answers if number % 2 == 0]
