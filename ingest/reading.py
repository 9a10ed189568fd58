"""The one read of a message: header, decision, rest, in this order; from Graph's own message where there is no MIME."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ingest import log
from ingest.answers import OwnAddresses
from ingest.claims import log_fields
from ingest.documents.headers.fields import Headers
from ingest.documents.spool import Spool
from ingest.errors import GraphServerError, MimeUnavailable
from ingest.fallback import GraphOriginal, download_message
from ingest.model.claim import Claim
from ingest.model.message import Message, OriginalForm, Scope
from ingest.model.tenant import Tenant
from ingest.original import MimeOriginal, Original, message_of, read_header
from ingest.ports import Mail
from ingest.transfer import Transfer

# Attempts at a message from which on Graph's 500 for its MIME counts as the message's own fault. A streamed answer
# shows no error code. Before, the 500 may be an outage of Graph.
ATTEMPTS_WITH_500 = 3

type Decide = Callable[[Message], tuple[Tenant, ...]]


class Reading:
    """The read of one claimed message."""

    def __init__(
        self,
        mail: Mail,
        transfer: Transfer,
        claim: Claim,
        scope: Scope,
        *,
        authserv_id: str | None = None,
        own: OwnAddresses | None = None,
    ) -> None:
        """`authserv_id` and `own`: as in `ingest.original.message_of`."""
        self._mail = mail
        self._transfer = transfer
        self._claim = claim
        self.scope = scope
        self._authserv_id = authserv_id
        self._own = own
        self.message: Message | None = None  # as the header says, once the header is read

    def read(self, spool: Spool, *, decide: Decide) -> tuple[Original, tuple[Tenant, ...]]:
        """Read the original into `spool`; return it with the tenants that `decide` chose by its header.

        `decide` is called before the rest is read, so that a mail for no tenant costs its header only. Raises as
        `decide`, and NotFound, Rejected(unreadable), Later.
        """
        try:
            return self._transfer.download(
                "original",
                partial(self._mail.original, self._claim.ref, self.scope),
                partial(self._take, spool, decide),
            )
        except MimeUnavailable as unavailable:
            log.warning("original.no_mime", **log_fields(self._claim), cause=log.describe(unavailable))
        except GraphServerError as error:
            if self._claim.attempts < ATTEMPTS_WITH_500:
                raise
            log.warning("original.no_mime", **log_fields(self._claim), cause=log.describe(error))
        return self._read_from_graph(spool, decide)

    def _take(self, spool: Spool, decide: Decide, blocks: Iterator[bytes]) -> tuple[Original, tuple[Tenant, ...]]:
        headers, content = read_header(blocks)
        message = self._message(headers)
        tenants = decide(message)
        spool.fill(content)
        links = partial(self._mail.attachments, self._claim.ref)
        return MimeOriginal(message=message, headers=headers, spool=spool, links=links), tenants

    def _read_from_graph(self, spool: Spool, decide: Decide) -> tuple[Original, tuple[Tenant, ...]]:
        content = download_message(self._mail, self._claim.ref, self._transfer, spool)
        message = replace(self._message(content.headers), form=OriginalForm.GRAPH_JSON)
        tenants = decide(message)
        original = GraphOriginal(
            message=message, content=content, spool=spool, mail=self._mail, transfer=self._transfer
        )
        return original, tenants

    def _message(self, headers: Headers) -> Message:
        self.message = message_of(
            self._claim.ref, headers, self._claim.received_at, authserv_id=self._authserv_id, own=self._own
        )
        return self.message
