"""Refusals of Graph that are about Graph, not about one mail.

In an incident Graph answers 4xx to an operation for every mail. A refusal counts against a mail only if the same
operation has succeeded for another mail since the last refusal. A refused look-up never counts.
"""

from __future__ import annotations

from threading import Lock

from ingest import log
from ingest.errors import GraphRefused, GraphUnavailable
from ingest.model.message import OriginalForm
from ingest.model.message_ref import MessageRef
from ingest.model.outcome import Outcome, Quarantined, Stored

# The operations that have succeeded for a message that is stored, by the form of its original, or quarantined.
_STORED = {
    OriginalForm.MIME: frozenset({"get_mime", "delete_message"}),
    OriginalForm.GRAPH_JSON: frozenset({"get_message", "list_attachments", "get_attachment", "delete_message"}),
}
_QUARANTINED = frozenset({"categorise_message", "move_message"})
# These read no mail's content and take no mail out of the inbox: the mail is not the cause of a refusal.
_LOOKUPS = frozenset({"locate_message", "get_inbox", "find_folder", "create_folder", "mark_read"})
_OBSERVED = _QUARANTINED.union(*_STORED.values())  # operations with known successes


class Refusals:
    """The operations of Graph in this process, by whether they have succeeded since their last refusal."""

    def __init__(self) -> None:
        self._succeeded: set[str] = set()
        self._refused: dict[str, set[MessageRef]] = {}
        self._lock = Lock()

    def note_end(self, outcome: Outcome) -> None:
        """Remember the operations that succeeded for a message."""
        operations = _succeeded(outcome)
        with self._lock:
            self._succeeded |= operations
            for operation in operations:
                self._refused.pop(operation, None)

    def must_count(self, ref: MessageRef, refused: GraphRefused) -> None:
        """Raise GraphUnavailable where the refusal may be about Graph.

        That is every refusal of a look-up, and of an operation that has succeeded for no other mail since its last
        refusal.
        """
        if refused.operation in _LOOKUPS:
            raise GraphUnavailable(f"{refused}; a refused look-up says nothing about the mail")
        if refused.operation not in _OBSERVED:
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


def _succeeded(outcome: Outcome) -> frozenset[str]:
    match outcome:
        case Stored(form=form):
            return _STORED[form]
        case Quarantined():
            return _QUARANTINED
        case _:
            return frozenset()
