"""A tenant's own mails from the view `ingest.mail_history`, the rejected ones with the reason in words. Copy it.

Without the console: Django asks its own database, as a member of `ingest_reader`. docs/dms-integration.md has the
meaning of the columns.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

# For people who know nothing of mail servers. A code that a newer version brings has no words here: show OTHER.
REASONS = {
    "de": {
        "no_token": "Die E-Mail ging nicht an Ihre Upload-Adresse.",
        "unknown_token": "Die Upload-Adresse in der E-Mail gibt es nicht. Vielleicht enthält sie einen Tippfehler.",
        "tenant_inactive": "Ihre Upload-Adresse ist abgeschaltet. Unser Support kann die Adresse einschalten.",
        "sender_not_allowed": (
            "Der Absender steht nicht auf Ihrer Liste zugelassener Absender. Unser Support kann die E-Mail zulassen."
        ),
        "unreadable": "Die E-Mail ist beschädigt. Bitte lassen Sie sich die E-Mail noch einmal schicken.",
        "attachment_pending": "Die Virenprüfung eines Anhangs wurde nicht fertig. Unser Support kümmert sich.",
        "processing_failed": "Wegen eines Fehlers bei uns wurde die E-Mail nicht gelesen. Unser Support kümmert sich.",
        "crashed_repeatedly": "Wegen eines Fehlers bei uns wurde die E-Mail nicht gelesen. Unser Support kümmert sich.",
        "too_costly": "Die E-Mail ist ungewöhnlich groß oder umfangreich. Unser Support sieht sich die E-Mail an.",
    },
    "en": {
        "no_token": "The mail was not sent to your upload address.",
        "unknown_token": "The upload address in the mail does not exist. There may be a typing error in the address.",
        "tenant_inactive": "Your upload address is switched off. Please ask our support to switch the address on.",
        "sender_not_allowed": "The sender is not on your list of allowed senders. Our support can let the mail in.",
        "unreadable": "The mail is damaged and can't be read. Please ask the sender to send the mail again.",
        "attachment_pending": "The virus check of an attachment did not end. Our support looks at the mail.",
        "processing_failed": "A fault of ours keeps the mail from being read. Our support looks at the mail.",
        "crashed_repeatedly": "A fault of ours keeps the mail from being read. Our support looks at the mail.",
        "too_costly": "The mail is unusually large or complicated. Our support looks at the mail.",
    },
}
OTHER = {
    "de": "Die E-Mail wurde nicht übernommen. Unser Support sieht sich die E-Mail an.",
    "en": "The mail was not taken over. Our support looks at the mail.",
}
_NEWEST = """
    select number, received_at, stored_at, sender, subject, documents, withheld, state, held_reason, reason
    from ingest.mail_history where tenant_id = %s order by received_at desc, number desc limit %s
"""


def mail_history(tenant_id: object, *, language: str = "de", limit: int = 100) -> list[dict[str, Any]]:
    """Return the tenant's newest mails. `tenant_id` is that of the signed-in customer, never one that a browser sent.

    `sender` and `subject` are a stranger's text: escape them. `reason_in_words` is None for a stored mail.
    `held_reason` is set where the mail waits for the tenant's approval (waiting_room.py), or was `declined`.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [tenant_id, limit])
        names = [column.name for column in cursor.description]
        mails = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for mail in mails:
        reason = mail["reason"]
        mail["reason_in_words"] = REASONS[language].get(reason, OTHER[language]) if reason else None
    return mails
