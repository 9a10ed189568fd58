"""The queries of the alerts and of the workbook are Kusto, fit the tables of Azure, and mean what their twins mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from infra.check import INFRA
from ingest.telemetry.metrics import METRICS
from tests.fakes.alerts import RULES, Rule
from tests.fakes.kusto import Bound, Row, Workspace, bind
from tests.fakes.otlp import Point

PICTURES = {
    one["name"]: one["content"]["query"]
    for one in json.loads((INFRA / "workbook.json").read_text("utf-8"))["items"]
    if "query" in one["content"]
}
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
COUNTERS = {metric.name for metric in METRICS if metric.kind == "counter"}
ATTRIBUTES = {"queue": "ingest-messages-poison", "verdict": "malicious"}
OTHERS = {"queue": "ingest-messages", "verdict": "clean"}


WRONG = {
    "AppMetrics | where Nme == 'a'": "'Nme' does not refer to any known column",
    "AppMetrics | summarize mx(Max)": "'mx' does not refer to any known function",
    "AppMetric | take 1": "'AppMetric' does not refer to any known table",
    "AppMetrics | summarize by": "Missing expression",
}


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    workspace = Workspace()
    yield workspace
    workspace.close()


@pytest.fixture(scope="module")
def bound() -> Mapping[str, Bound]:
    """All queries of this file at once: the parser takes a second to start."""
    queries = [*(rule.query for rule in RULES.values()), *PICTURES.values(), *WRONG]
    return dict(zip(queries, bind(queries), strict=True))


def test_every_query_is_kusto_over_columns_that_azure_has(bound: Mapping[str, Bound]) -> None:
    assert {query: one.wrong for query, one in bound.items() if one.wrong and query not in WRONG} == {}
    for rule in RULES.values():
        # One column, by the name that alerts.bicep gives to Azure: metricMeasureColumn.
        assert bound[rule.query].columns in (["value: real"], ["value: long"])


@pytest.mark.parametrize("query", WRONG)
def test_what_azure_would_refuse_is_found(query: str, bound: Mapping[str, Bound]) -> None:
    assert any(WRONG[query] in one for one in bound[query].wrong), bound[query].wrong


def around(rule: Rule) -> Iterator[list[Point]]:
    """Windows of a rule: empty, without its metric, below its threshold, at, above, and of another attribute."""
    yield []
    yield [point("ingest.bytes", 1_000_000)]
    for value in (0, rule.threshold - 1, rule.threshold, rule.threshold + 1):
        ours = [point(rule.metric, value)]
        yield ours
        yield [*ours, point(rule.metric, rule.threshold / 2)]
        yield [point(rule.metric, value, OTHERS)]
        yield [*ours, *([point(rule.of, 100)] if rule.of else [])]
        yield [*ours, *([point(rule.of, 0)] if rule.of else [])]


def point(metric: str, value: float, attributes: Mapping[str, str] = ATTRIBUTES) -> Point:
    return Point(metric=metric, unit="", value=value, attributes=dict(attributes), at=0)


def row(point: Point) -> Row:
    """The row that the exporter of Azure Monitor makes of a point."""
    return {
        "TimeGenerated": NOW,
        "Name": point.metric,
        "Properties": point.attributes,
        "ItemCount": 1,
        **dict.fromkeys(("Sum", "Min", "Max"), point.value),
    }


def rows(points: list[Point]) -> Iterator[Row]:
    """Azure Monitor gets a counter's growth, OTLP its sum: of each counter the last sum is one growth."""
    latest = {(one.metric, *sorted(one.attributes.items())): one for one in points if one.metric in COUNTERS}
    yield from map(row, [*latest.values(), *(one for one in points if one.metric not in COUNTERS)])


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_query_and_its_local_twin_agree(rule: Rule, workspace: Workspace) -> None:
    verdicts = set()
    for points in around(rule):
        workspace.fill("AppMetrics", rows(points))
        ((value,),) = workspace.ask(rule.query)
        assert rule.crosses(value) == rule.fires(points), (value, points)
        verdicts.add(rule.fires(points))
    assert verdicts == {True, False}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_workbook_has_something_to_draw(name: str, workspace: Workspace) -> None:
    measured = [point(metric.name, 3.0, dict.fromkeys(metric.attributes, "a")) for metric in METRICS]
    workspace.fill("AppMetrics", map(row, measured))
    request = {"TimeGenerated": NOW, "Name": "ingest_message", "DurationMs": 250.0, "ItemCount": 1}
    workspace.fill("AppRequests", [{**request, "Properties": {"age_seconds": "2.5", "tenants": "1,2"}}])
    drawn = workspace.ask(PICTURES[name])
    assert drawn
    assert None not in drawn[0]
