"""The rules over figures that Azure alone measures, on generated figures: no local stack has a managed disk or a bill.

Every other rule is proven on a running system: tests/integration/test_alerts.py.
"""

from __future__ import annotations

import pytest

from tests.fakes.alerts import platform_rules


@pytest.mark.parametrize(
    ("name", "metric", "quiet", "fires"),
    [
        ("database-disk", "storage_percent", (12.0, 79.9, 80.0), (80.1, 99.0)),
        ("budget spent", "Actual cost", (0.0, 80.0), (80.5, 140.0)),
        ("budget forecast", "Forecasted cost", (95.0, 100.0), (100.1, 250.0)),
    ],
)
def test_a_rule_of_the_platform_fires_above_its_threshold(
    name: str, metric: str, quiet: tuple[float, ...], fires: tuple[float, ...]
) -> None:
    rule = platform_rules()[name]
    assert rule.metric == metric
    assert [rule.fires(value) for value in quiet] == [False] * len(quiet)
    assert [rule.fires(value) for value in fires] == [True] * len(fires)


def test_no_rule_of_the_platform_is_left_out() -> None:
    assert set(platform_rules()) == {"database-disk", "budget spent", "budget forecast"}
