"""The folders that the app works with: a mailbox's inbox, and its Quarantine folder, by id.

https://learn.microsoft.com/graph/api/resources/mailfolder
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from urllib.parse import quote

from ingest import log
from ingest.errors import GraphRefused
from ingest.graph.client import GraphClient
from ingest.graph.listings import id_of, read_answer, read_items

CACHE = timedelta(minutes=5)  # for so long the app may use a folder that an Outlook user renamed or deleted


def user_path(mailbox: str, *segments: str) -> str:
    """Return the path of a mailbox, or of what the segments name below it. Ids are escaped; `@` stays readable."""
    return "/".join(("/users", quote(mailbox, safe="@"), *(quote(segment, safe="$") for segment in segments)))


class Folders:
    """Folder ids, cached. Every call raises as `GraphClient.request`.

    `Quarantine` is no well-known name of Graph: the folder is found by its display name, and made where it is missing.
    """

    def __init__(self, graph: GraphClient, *, quarantine_name: str) -> None:
        self._graph = graph
        self._quarantine_name = quarantine_name
        self._ids: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._lock = Lock()

    def inbox(self, mailbox: str) -> str:
        """Return the id of the inbox."""
        return self._cached(mailbox, "inbox", self._get_inbox)

    def quarantine(self, mailbox: str) -> str:
        """Return the id of the Quarantine folder, which is made where there is none."""
        return self._cached(mailbox, "quarantine", self._find_or_create_quarantine)

    def forget_quarantine(self, mailbox: str) -> None:
        """Drop the cached id of the Quarantine folder."""
        with self._lock:
            self._ids.pop((mailbox, "quarantine"), None)

    def find_quarantine(self, mailbox: str) -> str | None:
        """Return the id of the Quarantine folder, or None where there is none yet. Asks Graph each time."""
        name = self._quarantine_name.replace("'", "''")
        answer = self._graph.request(
            "find_folder",
            "GET",
            user_path(mailbox, "mailFolders"),
            mailbox=mailbox,
            params={"$filter": f"displayName eq '{name}'", "$select": "id,displayName"},
        )
        found = read_items("find_folder", answer.body, id_of, mailbox=mailbox)
        return next(iter(found), None)

    def _cached(self, mailbox: str, name: str, find: Callable[[str], str]) -> str:
        key = (mailbox, name)
        with self._lock:
            cached = self._ids.get(key)
        now = datetime.now(UTC)
        if cached is not None and cached[1] > now:
            return cached[0]
        folder_id = find(mailbox)
        with self._lock:
            self._ids[key] = (folder_id, now + CACHE)
        return folder_id

    def _get_inbox(self, mailbox: str) -> str:
        path = user_path(mailbox, "mailFolders", "inbox")
        answer = self._graph.request("get_inbox", "GET", path, mailbox=mailbox, params={"$select": "id"})
        return read_answer("get_inbox", answer.body, id_of)

    def _find_or_create_quarantine(self, mailbox: str) -> str:
        found = self.find_quarantine(mailbox)
        if found is not None:
            return found
        try:
            answer = self._graph.request(
                "create_folder",
                "POST",
                user_path(mailbox, "mailFolders"),
                mailbox=mailbox,
                body={"displayName": self._quarantine_name},
            )
        except GraphRefused as refused:
            if refused.code != "ErrorFolderExists":  # the code of 400 or 409: another instance was faster
                raise
            found = self.find_quarantine(mailbox)
            if found is None:
                raise
            return found
        log.info("quarantine.folder_created", mailbox=mailbox)
        return read_answer("create_folder", answer.body, id_of)
