"""The door for mail programs: SMTP in, messages in the inbox."""

from collections.abc import AsyncIterator, Awaitable, Callable

from aiosmtpd.smtp import SMTP

from local.graph.mail.content import ContentWriter
from local.graph.mail.postmaster import Postmaster

# Exchange Online takes messages of up to 150 MB; base64 makes them a third longer on the way.
_LARGEST = 220 * 1024 * 1024
_BLOCK = 1 << 18
_END = b"\r\n.\r\n"


class SmtpServer(SMTP):
    """An SMTP server with a DATA command of its own.

    aiosmtpd's reads line by line into memory, which takes seconds for a scan of 25 MB, and refuses lines of
    more than 1,000 bytes, which Exchange takes. Here the mail goes to its file in blocks.
    """

    def __init__(self, postmaster: Postmaster) -> None:
        super().__init__(
            None,
            data_size_limit=_LARGEST,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Microsoft ESMTP MAIL Service (simulated)",
        )
        self._postmaster = postmaster

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the library finds commands by name
        """Receive one mail; answer only once it is in its inboxes."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.2 Need rcpt command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 Start mail input; end with <CRLF>.<CRLF>")
        recipients = list(self.envelope.rcpt_tos)
        at = self._postmaster.new_path()
        writer = ContentWriter(at.with_name(at.name + ".eml"))
        length = 0
        try:
            async for block in mail_data(self._reader.read):
                length += len(block)
                if length <= _LARGEST:
                    writer.write(block)
        except BaseException:
            # The client is gone (the library then cancels this command) and with it half a mail.
            writer.close().path.unlink()
            raise
        content = writer.close()
        if length > _LARGEST:
            content.path.unlink()
            await self.push("552 5.3.4 Message size exceeds fixed maximum message size")
        else:
            await self._postmaster.deliver(content, recipients, at=at)
            await self.push("250 2.6.0 Queued mail for delivery")
        self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library has few types


async def mail_data(read: Callable[[int], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    """Yield what follows DATA, without the final dot and without the dots that transparency doubled.

    RFC 5321, section 4.5.2. Raises ConnectionError where the client hangs up before the end.
    """
    # A virtual line break before the first line, so that a dot there is like any other; never yielded.
    held, first = b"\r\n", True
    while True:
        block = await read(_BLOCK)
        if not block:
            raise ConnectionResetError("the client hung up within its mail")
        held += block
        end = held.find(_END)
        if end >= 0:
            cut = end + len(b"\r\n")
        else:
            # Up to the last line break: neither the end of the mail nor a doubled dot is cut in two. A line that is
            # longer than a block is cut before its last character, which may be half a line break.
            cut = held.rfind(b"\r\n")
            if cut <= 0 and len(held) > _BLOCK:
                cut = len(held) - 1
        if cut > 0:
            ready = held[:cut].replace(b"\r\n.", b"\r\n")
            yield ready[len(b"\r\n") :] if first else ready
            held, first = held[cut:], False
        if end >= 0:
            return
