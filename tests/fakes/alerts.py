"""The local twin of infra/modules/alerts.bicep: the rules of infra/alerts.json, over points instead of AppMetrics.

`Rule.query` is the Kusto that Azure runs: tests/integration/test_kusto.py runs both on the same points.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.check import INFRA, Bicep
from tests.fakes.otlp import Point

_OPERATORS: dict[str, Callable[[float, float], bool]] = {"GreaterThan": operator.gt, "LessThan": operator.lt}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of alerts.json."""

    name: str
    metric: str
    aggregate: str
    operator: str
    threshold: float
    of: str | None = None
    attribute: str | None = None
    ends_with: str = ""

    @property
    def query(self) -> str:
        """The query as alerts.bicep makes it."""
        source = (INFRA / "modules" / "alerts.bicep").read_text("utf-8")
        values = {"rule.metric": self.metric, "rule.?of ?? ''": self.of or ""}
        values |= {"rule.attribute": self.attribute or "", "rule.endsWith": self.ends_with}
        values["filters[index]"] = (
            _filled(_line(source, "contains(rule, 'attribute') ?"), values) if self.attribute else ""
        )
        values["aggregates[index][rule.aggregate]"] = _filled(_line(source, f"{self.aggregate}:"), values)
        return _filled(_line(source, "query:"), values)

    def crosses(self, value: float | None) -> bool:
        """Return whether the value of a window raises the alert. A window without a value raises none."""
        return value is not None and _OPERATORS[self.operator](value, self.threshold)

    def fires(self, points: Iterable[Point]) -> bool:
        """Return what the query would say of a window that holds these points."""
        ours = [point for point in points if point.metric == self.metric and self._names(point)]
        return self.crosses(self._aggregated(ours, [point for point in points if point.metric == self.of]))

    def _names(self, point: Point) -> bool:
        return self.attribute is None or str(point.attributes.get(self.attribute, "")).endswith(self.ends_with)

    def _aggregated(self, ours: Sequence[Point], others: Sequence[Point]) -> float | None:
        values = [point.value for point in ours]
        match self.aggregate:
            case "max":
                return max(values, default=None)
            case "min":
                return min(values, default=None)
            case "points":
                return len(values)
            case "sum":
                return _total(ours)
            case "percent":
                whole = _total(others)
                return 100 * _total(ours) / whole if whole else 0
            case other:
                raise ValueError(f"alerts.bicep knows no aggregate {other}")


def _line(source: str, before: str) -> str:
    """Return the string that stands behind these words in alerts.bicep, without its quotes."""
    found = re.search(rf"{re.escape(before)} '((?:[^'$]|\$\{{[^}}]*\}})*)'", source)
    if found is None:
        raise ValueError(f"alerts.bicep has no {before} where it is looked for")
    return found[1]


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Fill in each `${…}` of Bicep. Raises KeyError for an expression that alerts.bicep did not have before."""
    return re.sub(r"\$\{([^}]*)\}", lambda found: values[found[1]], text)


def _total(points: Sequence[Point]) -> float:
    """Return the sum of a counter: over OTLP each point is the sum since the start, for its attributes."""
    latest = {tuple(sorted(point.attributes.items())): point.value for point in points}
    return sum(latest.values())


RULES = {
    raw["name"]: Rule(
        name=raw["name"],
        metric=raw["metric"],
        aggregate=raw["aggregate"],
        operator=raw["operator"],
        threshold=raw["threshold"],
        of=raw.get("of"),
        attribute=raw.get("attribute"),
        ends_with=raw.get("endsWith", ""),
    )
    for raw in json.loads((INFRA / "alerts.json").read_text("utf-8"))
}


@dataclass(frozen=True, kw_only=True)
class PlatformRule:
    """A rule over figures that Azure alone measures: of the database's disk, or of the subscription's cost."""

    metric: str
    operator: str
    threshold: float

    def fires(self, value: float) -> bool:
        """Return what Azure would say of this value, in percent of the disk or of the budget."""
        return _OPERATORS[self.operator](value, self.threshold)


def platform_rules() -> Mapping[str, PlatformRule]:
    """Read the two kinds from alerts.bicep itself: `database-disk`, `budget spent` and `budget forecast`."""
    file = Bicep.read(INFRA / "modules" / "alerts.bicep")
    (_, disk), (_, budget) = (
        next(file.resources(kind)) for kind in ("Microsoft.Insights/metricAlerts", "Microsoft.Consumption/budgets")
    )
    disk_text, budget_text = file.text(disk["properties"]), file.text(budget["properties"])
    rules = {"database-disk": _platform_rule(disk_text, metric=_value(disk_text, "metricName"))}
    for name, body in re.findall(r"(\w+): \{([^{}]*operator[^{}]*)\}", budget_text):
        rules[f"budget {name}"] = _platform_rule(body, metric=f"{_value(body, 'thresholdType')} cost")
    return rules


def _platform_rule(text: str, *, metric: str) -> PlatformRule:
    return PlatformRule(metric=metric, operator=_value(text, "operator"), threshold=float(_value(text, "threshold")))


def _value(text: str, key: str) -> str:
    found = re.search(rf"\b{key}: '?([\w.]+)'?", text)
    if found is None:
        raise ValueError(f"alerts.bicep has no {key} where it is looked for")
    return found[1]
