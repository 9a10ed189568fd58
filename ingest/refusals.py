"""Refusals of Graph that are about Graph, not about one mail.

In an incident Graph answers 4xx to an operation for every mail. A refusal counts against a mail only if the same
operation has succeeded for another mail since the last refusal.
"""

from __future__ import annotations

from threading import Lock

from ingest import log
from ingest.errors import GraphRefused, GraphUnavailable
from ingest.model import MessageRef, Outcome, Quarantined, Stored

# The operations that have succeeded for a message with this end.
_SUCCEEDED: dict[type[Outcome], frozenset[str]] = {
    Stored: frozenset({"get_mime", "delete_message"}),
    Quarantined: frozenset({"categorise_message", "move_message"}),
}


class Refusals:
    """The operations of Graph in this process, by whether they have succeeded since their last refusal."""

    def __init__(self) -> None:
        self._succeeded: set[str] = set()
        self._refused: dict[str, set[MessageRef]] = {}
        self._lock = Lock()

    def note_end(self, outcome: Outcome) -> None:
        """Remember the operations that succeeded for a message."""
        operations = _SUCCEEDED.get(type(outcome), frozenset())
        with self._lock:
            self._succeeded |= operations
            for operation in operations:
                self._refused.pop(operation, None)

    def must_count(self, ref: MessageRef, refused: GraphRefused) -> None:
        """Raise GraphUnavailable where the operation has succeeded for no other mail since the last refusal.

        Operations that only few mails need always count.
        """
        if not any(refused.operation in operations for operations in _SUCCEEDED.values()):
            return
        with self._lock:
            if refused.operation in self._succeeded:
                self._succeeded.discard(refused.operation)
                return
            mails = self._refused.setdefault(refused.operation, set())
            mails.add(ref)
        if len(mails) > 1:
            log.error("graph.refuses_operation", operation=refused.operation, status=refused.status, code=refused.code)
        raise GraphUnavailable(f"{refused}; the operation has succeeded for no other mail meanwhile")
