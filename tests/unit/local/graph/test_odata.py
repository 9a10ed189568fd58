"""Query options: what is accepted, what it means, what is refused."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph.http import odata
from local.graph.http.errors import GraphError


@dataclass
class Item:
    name: str | None = "Rechnung"
    read: bool = False
    size: int = 7
    at: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    tags: tuple[str, ...] = ("Red",)


SCHEMA = odata.Schema(
    type_name="item",
    fields={
        "name": lambda item: item.name,
        "isRead": lambda item: item.read,
        "size": lambda item: item.size,
        "at": lambda item: item.at,
    },
    collections={"tags": (lambda item: item.tags, {"": lambda tag: tag})},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name eq 'RECHNUNG'", True),
        ("NAME eq 'Rechnung'", True),
        ("name eq 'it''s'", False),
        ("name ne null", True),
        ("isRead", False),
        ("not isRead", True),
        ("isRead eq false and size gt 6 or name eq 'x'", True),
        ("isRead eq true or size lt 8 and name eq 'x'", False),
        ("(isRead eq true or size lt 8) and startswith(name, 'rech')", True),
        ("endswith(name,'UNG') eq true", True),
        ("contains(name,'x') eq false", True),
        ("at ge 2026-03-01T00:00:00Z and at le 2026-03-01T01:00:00+01:00", True),
        ("at gt 2026-03-01", False),
        ("at gt 'text'", False),
        ("size in (1, 7)", True),
        ("tags/any(t:t eq 'red')", True),
        ("tags/all(t:t eq 'blue')", False),
        ("tags/any()", True),
    ],
)
def test_a_filter_matches_the_items_that_it_describes(text: str, *, expected: bool) -> None:
    assert odata.parse_filter(text, SCHEMA).matches(Item()) is expected


def test_null_compares_with_nothing() -> None:
    assert not odata.parse_filter("name gt 'a'", SCHEMA).matches(Item(name=None))
    assert odata.parse_filter("name eq null", SCHEMA).matches(Item(name=None))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name eq",
        "eq 'x'",
        "name eq 'x",
        "name like 'x'",
        "(name eq 'x'",
        "name eq 'x')",
        "color eq 'x'",
        "contains(name)",
        "contains(name, 1)",
        "tags/any(t:u eq 'x')",
        "colors/any(c:c eq 'x')",
        "at gt 2026-13-01",
    ],
)
def test_what_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(GraphError) as refused:
        odata.parse_filter(text, SCHEMA)
    assert refused.value.status == 400


@given(st.text(alphabet="nameqisRd ()',:/-0T.\u2028", max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    with contextlib.suppress(GraphError):
        odata.parse_filter(text, SCHEMA)


@pytest.mark.parametrize(
    ("filter_text", "order", "efficient"),
    [
        ("at gt 2000-01-01 and isRead eq false", "at", True),
        ("isRead eq false and at gt 2000-01-01", "at", False),
        ("isRead eq false", "at", False),
        ("at gt 2000-01-01 and name eq 'x' and isRead", "at desc,name", True),
        ("name eq 'x' and at gt 2000-01-01", "at,name", False),
    ],
)
def test_what_is_sorted_by_comes_first_in_the_filter(filter_text: str, order: str, *, efficient: bool) -> None:
    criteria = odata.parse_filter(filter_text, SCHEMA)
    parsed = odata.parse_order(order, SCHEMA)
    if efficient:
        odata.check_efficient(parsed, criteria)
        return
    with pytest.raises(GraphError) as refused:
        odata.check_efficient(parsed, criteria)
    assert refused.value.code == "InefficientFilter"


def test_each_key_of_a_sort_has_its_direction() -> None:
    items = [Item(name="b", size=1), Item(name="a", size=1), Item(name="c", size=2), Item(name=None, size=2)]
    ordered = odata.sort(items, odata.parse_order("size desc,name", SCHEMA))
    assert [item.name for item in ordered] == [None, "c", "a", "b"]


def test_expand_is_taken_apart_at_the_right_places() -> None:
    text = "attachments($select=id,name;$top=5),singleValueExtendedProperties($filter=id eq 'a,(b)')"
    assert odata.parse_expand(text) == {
        "attachments": {"$select": "id,name", "$top": "5"},
        "singleValueExtendedProperties": {"$filter": "id eq 'a,(b)'"},
    }


def test_options_may_come_without_their_dollar_and_in_any_case() -> None:
    assert odata.parse_query("%24TOP=5&filter=a%20eq%20b&x=y") == {"$top": "5", "$filter": "a eq b", "x": "y"}
