"""The timer's report for the alerts: ages, lengths and ends that no single mail shows.

Each part is asked for by itself: a source that is down hides no other. The events become metrics in
ingest.telemetry.metrics; nothing is asked for where telemetry is off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest import log, wiring
from ingest.errors import IngestError
from ingest.settings import QueueAccount, Settings
from ingest.wiring import App
from subscriptions.calls import Subscriptions
from subscriptions.plan import remaining, wanted_by


def report() -> None:
    """Report every part of this process's app. Trouble of a part is only logged. Raises SettingsError."""
    report_app(wiring.app(), os.environ)


def report_app(app: App, environ: Mapping[str, str]) -> None:
    """Report every part of an app. Trouble of a part is only logged."""
    with _logged("backlog"):
        unfinished = app.backlog.unfinished()
        log.info(
            "report.backlog",
            waiting=unfinished.mails,
            failing=unfinished.failing,
            oldest_seconds=round(unfinished.oldest_seconds, 1),
        )
    with _logged("queue"):
        _report_queues(environ)
    with _logged("quarantine"):
        counts = [app.mailboxes.count_quarantine(mailbox) for mailbox in app.settings.mailboxes]
        log.info("report.quarantine", mails=sum(counts))
    with _logged("subscriptions"):
        listed, now = Subscriptions(app.graph).list(), datetime.now(UTC)
        left = [remaining(now, listed, wanted_by(app.settings, mailbox)) for mailbox in app.settings.mailboxes]
        log.info("report.subscriptions", remaining_seconds=round(min(left).total_seconds()))
    with _logged("credential"):
        end = credential_end(app.settings)
        if end is not None:
            seconds = (end - datetime.now(UTC)).total_seconds()
            log.info("report.credential", remaining_seconds=round(max(0.0, seconds)))


def credential_end(settings: Settings) -> datetime | None:
    """Return the end of the certificate or secret; None for a managed identity, and where the end is not known."""
    if settings.client_certificate is not None:
        from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - heavy, and for certificates only

        pem = Path(settings.client_certificate).read_bytes()
        return load_pem_x509_certificate(pem).not_valid_after_utc
    if settings.client_secret is not None and settings.client_secret_expires is not None:
        day = settings.client_secret_expires
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return None


def _report_queues(environ: Mapping[str, str]) -> None:
    from ingest.storage.queue_lengths import queue_lengths  # noqa: PLC0415 - heavy, and of no use to a mail

    for name, length in queue_lengths(QueueAccount.from_env(environ)).items():
        log.info("report.queue", queue=name, length=length)


@contextmanager
def _logged(part: str) -> Iterator[None]:
    """Log an exception in the block, and raise nothing."""
    try:
        yield
    except IngestError as error:
        log.warning("report.failed", part=part, cause=log.describe(error))
    except Exception as error:  # noqa: BLE001 - a defect of one part must not hide the other parts
        log.error("report.failed", part=part, frames=log.frames(error))
