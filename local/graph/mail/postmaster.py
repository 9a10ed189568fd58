"""Incoming mail: from raw MIME and envelope recipients to messages in inboxes."""

import asyncio
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from local.graph.mail.content import Content
from local.graph.mail.mime import reference, store_and_parse
from local.graph.mail.store import Message, Store

# Reading a mail of this size takes about a millisecond; larger ones would hold up the others.
_INLINE_BYTES = 64 * 1024
_SERIES_BLOCK = 20


class Postmaster:
    """Delivers into the store; contents go below `directory`, which is emptied at the start."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._numbers = itertools.count(1)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def new_path(self) -> Path:
        """Return the path for the contents of the next mail, without their suffixes."""
        number = next(self._numbers)
        path = self._directory / f"{number // 1000:04}" / f"{number:07}"
        if number % 1000 in {0, 1}:
            path.parent.mkdir(exist_ok=True)
        return path

    async def deliver(
        self,
        raw: bytes | Content,
        recipients: Sequence[str],
        *,
        at: Path | None = None,
        folder: str = "inbox",
        links: Sequence[str] = (),
    ) -> list[Message]:
        """One mail to its envelope recipients: once into each mailbox that they lead to.

        `raw` is the mail, or the file that holds it already (`at` is then its path without the suffix). `folder` is
        a well-known name (junk does not reach the inbox); `links` are names of cloud attachments, which no MIME holds.
        """
        at = at or self.new_path()
        if (len(raw) if isinstance(raw, bytes) else raw.length) <= _INLINE_BYTES:
            mime, mail = store_and_parse(raw, at=at)
        else:
            mime, mail = await asyncio.to_thread(store_and_parse, raw, at=at)
        if links:
            mail = replace(mail, attachments=(*mail.attachments, *(reference(name=name) for name in links)))
        mailboxes = self._store.recipient_mailboxes(recipients)
        return [self._store.deliver(mailbox, mail, mime, folder=folder) for mailbox in mailboxes]

    async def deliver_series(self, template: bytes, recipients: Sequence[str], *, count: int) -> None:
        """Deliver `count` mails at once: the template with `{number}` replaced by 1, 2, 3 and so on."""
        for number in range(1, count + 1):
            await self.deliver(template.replace(b"{number}", str(number).encode()), recipients)
            if number % _SERIES_BLOCK == 0:
                await asyncio.sleep(0)  # the requests of others
