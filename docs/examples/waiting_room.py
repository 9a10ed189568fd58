"""Mails that wait for a tenant's approval: list them, and carry out a user's decision. Copy the file.

The DMS's login is a member of `ingest_reader`. Postgres hides the documents of these mails until the decision.
"""

from __future__ import annotations

from typing import Any, Literal

from django.db import connection

type Decision = Literal["approve", "approve_sender", "decline"]


def waiting(tenant_id: object) -> list[dict[str, Any]]:
    """Return the tenant's mails that wait, oldest first. Sender and subject are a stranger's text: escape them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select message_id, number, sender, subject, received_at, held_reason, sender_proven"
            " from ingest.held where tenant_id = %s order by received_at",
            [tenant_id],
        )
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def decide(tenant_id: object, message_id: int, decision: Decision, user: str) -> int:
    """Carry out a user's decision; return the number of the mail's documents.

    `tenant_id`: of the signed-in user, never of the request. `approve_sender` needs `sender_proven`. Raises
    django.db.Error where the tenant has no such mail that waits.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select ingest.decide_held(%s, %s, %s, %s, %s)",
            [tenant_id, message_id, decision, "decided in the DMS", user],
        )
        return int(cursor.fetchone()[0])
