"""Deleted Items: what Graph says of the folder, and what it leaves out."""

from datetime import UTC, datetime

import pytest

from ingest.graph.deleted import DeletedItems, read_deleted_items
from tests.fakes.graph_endpoint import Answer, graph
from tests.fakes.values import MAILBOX

NOW = datetime(2026, 3, 10, tzinfo=UTC)
FOLDER = {"id": "F", "totalItemCount": 4}
SIZE = {"singleValueExtendedProperties": [{"id": "Long 0xe08", "value": "8000"}]}
LISTED = {"value": [{"id": "A1", "receivedDateTime": "2026-02-01T00:00:00Z"}], "@odata.count": 2}


def test_three_small_requests_show_size_age_and_growth() -> None:
    one = graph(Answer(content=FOLDER | SIZE), Answer(content=LISTED), Answer(content=LISTED))
    found = read_deleted_items(one.client, MAILBOX, now=NOW)
    assert found == DeletedItems(mails=4, size=8000, oldest=datetime(2026, 2, 1, tzinfo=UTC), last_week=2)
    assert found.bytes_a_day == pytest.approx(8000 / 4 * 2 / 7)
    assert [request.query.get("$filter") for request in one.requests] == [
        None,
        "receivedDateTime ge 1900-01-01T00:00:00Z",
        "receivedDateTime ge 2026-03-03T00:00:00Z",
    ]


@pytest.mark.parametrize(
    "extended", [{}, {"singleValueExtendedProperties": None}, {"singleValueExtendedProperties": [None, {"id": "x"}]}]
)
def test_a_size_that_graph_does_not_say_is_unknown(extended: dict[str, object]) -> None:
    one = graph(Answer(content=FOLDER | extended), Answer(content=LISTED), Answer(content={"value": []}))
    found = read_deleted_items(one.client, MAILBOX, now=NOW)
    assert (found.size, found.last_week, found.bytes_a_day) == (None, 0, 0.0)
