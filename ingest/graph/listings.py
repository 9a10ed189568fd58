"""Graph's answers. Of a list, an item that cannot be read is skipped, logged and counted, and the others are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ingest import log
from ingest.errors import GraphUnavailable
from ingest.model.message_ref import is_id

type Item = Mapping[str, Any]

# Raised by a reader over JSON of another shape than Graph documents.
_ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def read_items[Entry](
    operation: str, answer: Item, read: Callable[[Item], Entry], *, mailbox: str | None
) -> list[Entry]:
    """Return what `read` makes of each item of a page, without the items that it cannot read.

    `operation` and `mailbox` name the list in the log. Raises GraphUnavailable where the answer holds no list.
    """
    items = answer.get("value")
    if not isinstance(items, list):
        raise GraphUnavailable(f"{operation}: the answer has no list of items")
    found, skipped = list[Entry](), 0
    for item in items:
        try:
            found.append(read(item))
        except _ODD:
            skipped += 1
    if skipped:
        log.warning("graph.odd_items", operation=operation, mailbox=mailbox, skipped=skipped, read=len(found))
    return found


def read_answer[Value](operation: str, answer: Item, read: Callable[[Item], Value]) -> Value:
    """Return what `read` makes of an answer. Raises GraphUnavailable where the answer is not what Graph documents.

    A gateway in trouble answers 200 with an empty body, too: that is no fact about a message or a folder.
    """
    try:
        return read(answer)
    except _ODD:
        raise GraphUnavailable(f"{operation}: the answer is not what Graph documents") from None


def id_of(item: Item) -> str:
    """Return an item's id. Raises KeyError, TypeError, ValueError."""
    value = item["id"]
    if not is_id(value):
        raise ValueError("not an id that Graph gives")
    return value


def next_link(answer: Item) -> str | None:
    """Return the address of the next page; None on the last page."""
    link = answer.get("@odata.nextLink")
    return link if isinstance(link, str) and link else None


def time_of(text: str) -> datetime:
    """Return a time in UTC. Raises ValueError, OverflowError."""
    return datetime.fromisoformat(text).astimezone(UTC)


def time_or_none(text: object) -> datetime | None:
    """Return a time in UTC; None where it is missing or unreadable: the item is there all the same."""
    try:
        return time_of(str(text))
    except (ValueError, OverflowError):
        return None
