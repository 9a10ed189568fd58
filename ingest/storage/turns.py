"""Turns: mails beyond the budget of their tenant wait. The sweep brings them back, one of each tenant after the other.

Within a tenant the sweep brings back one of each proven sender after the other, at most ten of a domain in each round.
The tenant of a mail that waits stands in a table of its own that the app cannot read: claims hold no tenant data.
"""

from __future__ import annotations

from ingest.errors import LeaseLost
from ingest.model.claim import Claim
from ingest.storage.database import Database, as_text
from ingest.storage.tenants import Tenants

MOST_SECONDS = 86_400  # after so long the sweep takes up a mail that no turn has come for


class Turns:
    """The line of the mails that wait. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._tenants = tenants

    WAIT = """
    update ingest.claim
    set state = 'waiting', lease_until = null, enqueued_at = null, waits_since = coalesce(waits_since, now()),
        next_try_at = now() + %(most)s * interval '1 second'
    where id = %(id)s and fence = %(fence)s
    returning id
    """

    LINE_UP = "select ingest.wait_for_turn(%(id)s, %(sender)s)"

    def wait(self, claim: Claim, *, sender: str | None) -> None:
        """Give the claim back until its turn comes, as a mail of the context's tenant. Raises LeaseLost.

        `sender`: the proven one; within the tenant the oldest mail of each sender comes first. None for all others,
        which stand in one line.
        """
        ours = {"id": claim.id, "fence": claim.fence, "most": MOST_SECONDS}
        with self._database.connection("wait") as connection, connection.pipeline(), connection.transaction():
            self._tenants.enter(connection, claim)
            connection.execute(self.LINE_UP, {"id": claim.id, "sender": as_text(sender)})
            if connection.execute(self.WAIT, ours).fetchone() is None:
                raise LeaseLost("the message was taken over before it could wait")
