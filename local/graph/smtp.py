"""The door for mail programs: SMTP in, messages in the inbox."""

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.graph.postmaster import Postmaster

# Exchange Online takes messages of up to 150 MB; base64 makes them a third longer on the way.
_LARGEST = 220 * 1024 * 1024


class _Handler:
    def __init__(self, postmaster: Postmaster) -> None:
        self._postmaster = postmaster

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Answer only once the mail is in its inboxes."""
        del server, session
        content = envelope.original_content
        await self._postmaster.deliver(content or b"", list(envelope.rcpt_tos))
        return "250 2.6.0 Queued mail for delivery"


def smtp_protocol(postmaster: Postmaster) -> asyncio.Protocol:
    """One connection's protocol, for `loop.create_server`."""
    return SMTP(
        _Handler(postmaster),
        data_size_limit=_LARGEST,
        enable_SMTPUTF8=True,
        decode_data=False,
        hostname="localhost",
        ident="Microsoft ESMTP MAIL Service (simulated)",
    )
