"""The Quarantine folder as an operator works on it: the mails in it, and their way back to the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.errors import NotFound, OperatorError
from ingest.model import MessageRef

if TYPE_CHECKING:  # heavy, and given by the caller
    from collections.abc import Iterator, Sequence

    from ingest.graph.mailbox import Mailboxes
    from ingest.model import QuarantinedMail


class Quarantine:
    """The Quarantine folders. Every call may raise Later."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    def mails(self, mailbox: str) -> Iterator[QuarantinedMail]:
        """Yield the mails in the folder, oldest first; none where there is no folder yet."""
        return self._mailboxes.quarantined(mailbox)

    def release(self, ref: MessageRef) -> None:
        """Move a mail back to the inbox, unread and without its reason, as if it had just come in.

        Graph announces the mail as a new message, so that it is ingested again. Raises OperatorError.
        """
        self._mailboxes.release(ref, self._categories(ref))

    def must_hold(self, ref: MessageRef) -> None:
        """Raise OperatorError where the message is not in Quarantine."""
        self._categories(ref)

    def _categories(self, ref: MessageRef) -> Sequence[str]:
        try:
            location = self._mailboxes.locate(ref)
        except NotFound:
            raise OperatorError("The mail is not in the mailbox any more: it was deleted.") from None
        if location.folder_id != self._mailboxes.find_quarantine(ref.mailbox):
            raise OperatorError("The mail is not in Quarantine: it was moved elsewhere.")
        return location.categories
