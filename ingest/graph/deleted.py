"""The fill and the growth of Deleted Items, where stored mails go.

https://learn.microsoft.com/graph/api/mailfolder-get
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.graph.client import GraphClient, Json
from ingest.graph.folders import user_path
from ingest.graph.listings import read_answer, time_or_none

WEEK = timedelta(days=7)
# PidTagMessageSizeExtended of the folder: v1.0 has no property for a folder's size.
# https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get
_SIZE = "singleValueExtendedProperties($filter=id eq 'Long 0x0E08')"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedItems:
    """The messages in Deleted Items: their number, their bytes, the oldest one's receipt, and those of the last week.

    `size` is None where Graph does not say it; `oldest` is None for an empty folder.
    """

    mails: int
    size: int | None
    oldest: datetime | None
    last_week: int

    @property
    def bytes_a_day(self) -> float:
        """Return the average of the last week, by the average size of a message."""
        return (self.size or 0) / self.mails * self.last_week / WEEK.days if self.mails else 0.0


def read_deleted_items(graph: GraphClient, mailbox: str, *, now: datetime) -> DeletedItems:
    """Return the state of the folder, by three small requests. Raises Later."""
    path = user_path(mailbox, "mailFolders", "deleteditems")
    params = {"$select": "id,totalItemCount", "$expand": _SIZE}
    folder = graph.request("get_deleted", "GET", path, mailbox=mailbox, params=params).body
    since = datetime(1900, 1, 1, tzinfo=UTC)
    oldest = _listed(graph, path, mailbox, since=since).get("value") or [{}]
    recent = _listed(graph, path, mailbox, since=now - WEEK)
    return DeletedItems(
        mails=read_answer("get_deleted", folder, lambda found: int(found["totalItemCount"])),
        size=_size(folder),
        oldest=time_or_none(oldest[0].get("receivedDateTime")),
        last_week=int(recent.get("@odata.count") or 0),
    )


def _listed(graph: GraphClient, path: str, mailbox: str, *, since: datetime) -> Json:
    params = {
        "$filter": f"receivedDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}",
        "$orderby": "receivedDateTime",
        "$select": "id,receivedDateTime",
        "$top": "1",
        "$count": "true",
    }
    return graph.request("list_deleted", "GET", f"{path}/messages", mailbox=mailbox, params=params).body


def _size(folder: Json) -> int | None:
    for item in folder.get("singleValueExtendedProperties") or ():
        if isinstance(item, dict) and str(item.get("value", "")).isdecimal():
            return int(item["value"])
    return None
