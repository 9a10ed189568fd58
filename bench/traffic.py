"""The rows on requests and bytes: mails with 0, 1, 5 and 20 attachments, by webhook and by sweep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import ours
from bench.mails import Sample, samples
from bench.ours import Drained
from local.stack import Stack
from local.tenants import LocalTenant

ATTACHMENTS = (0, 1, 5, 20)
_MAILS = 10
_PDF_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Mails with the same number of attachments.

    `requests_per_mail` counts the requests that name a message, `pages` those that list messages. `bytes_ratio` is
    all bytes of Graph's answers beside the bytes of the mails' MIME.
    """

    attachments: int
    requests_per_mail: float
    pages: int
    bytes_ratio: float


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One entry for each of ATTACHMENTS."""

    webhook: Sequence[Kind]
    sweep: Sequence[Kind]


def measure(stack: Stack, tenant: LocalTenant) -> Traffic:
    """Drain ten mails of each kind by each way. Raises StuckError."""
    mailbox = stack.identity.mailboxes[0]
    return Traffic(
        webhook=_kinds(tenant, "webhook", lambda mails: ours.drain_by_webhook(stack, mailbox, mails)),
        sweep=_kinds(tenant, "sweep", lambda mails: ours.drain_by_sweep(stack, {mailbox: mails})),
    )


def _kinds(tenant: LocalTenant, way: str, drain: Callable[[list[Sample]], Drained]) -> list[Kind]:
    kinds = []
    for count in ATTACHMENTS:
        mails = samples(
            _MAILS, address=tenant.address, label=f"traffic-{way}-{count}", pdf_bytes=_PDF_BYTES, attachments=count
        )
        drained = drain(mails)
        kinds.append(
            Kind(
                attachments=count,
                requests_per_mail=drained.message_requests / _MAILS,
                pages=drained.pages,
                bytes_ratio=drained.bytes_sent / sum(len(mail.raw) for mail in mails),
            )
        )
    return kinds
