"""Incoming mail: from raw MIME and envelope recipients to messages in inboxes."""

import asyncio
import itertools
import shutil
from pathlib import Path

from local.graph.mail.content import Content
from local.graph.mail.mime import store_and_parse
from local.graph.mail.store import Message, Store

# Reading a mail of this size takes about a millisecond; larger ones would hold up the others.
_INLINE_BYTES = 64 * 1024


class Postmaster:
    """Delivers into the store; contents go below `directory`, which is emptied at the start."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._numbers = itertools.count(1)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def new_path(self) -> Path:
        """Where the contents of the next mail go; suffixes tell them apart."""
        number = next(self._numbers)
        path = self._directory / f"{number // 1000:04}" / f"{number:07}"
        if number % 1000 in {0, 1}:
            path.parent.mkdir(exist_ok=True)
        return path

    async def deliver(self, raw: bytes | Content, recipients: list[str], *, at: Path | None = None) -> list[Message]:
        """One mail to its envelope recipients: once into each mailbox that they lead to.

        `raw` is the mail, or the file that holds it already (`at` is then its path without the suffix).
        """
        at = at or self.new_path()
        if (len(raw) if isinstance(raw, bytes) else raw.length) <= _INLINE_BYTES:
            mime, mail = store_and_parse(raw, at=at)
        else:
            mime, mail = await asyncio.to_thread(store_and_parse, raw, at=at)
        return [self._store.deliver(mailbox, mail, mime) for mailbox in self._store.recipient_mailboxes(recipients)]
