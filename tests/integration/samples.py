"""The samples of tests/mails/samples, sent to one tenant of a running system."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from pathlib import Path

import psycopg

from local.stack import Stack
from tests.mails.mime import ADDRESS, TOKEN

SAMPLES = Path(__file__).parents[1] / "mails" / "samples"
MAILS = sorted(path.stem for path in SAMPLES.glob("*.eml"))
TENANT = "Die Muster GmbH"
_WITH_LINK = [name for name in MAILS if name.startswith("cloud-attachment")]  # no MIME holds a link


def deliver_samples(stack: Stack) -> None:
    """Send every sample, and return when each has ended."""
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        database.execute("insert into dms_tenant (name, ingest_token) values (%s, %s)", [TENANT, TOKEN])
    _send(stack, [name for name in MAILS if name not in _WITH_LINK])
    for name in _WITH_LINK:
        _send_with_link(stack, name)
    stack.wait_for_empty_inbox()


def _send(stack: Stack, names: Sequence[str]) -> None:
    assert stack.simulator is not None
    with smtplib.SMTP(stack.simulator.smtp_host, stack.simulator.smtp_port, timeout=60) as connection:
        for name in names:
            raw = SAMPLES.joinpath(f"{name}.eml").read_bytes()
            connection.sendmail("rechnung@nordlicht.example", [ADDRESS], raw, mail_options=["BODY=8BITMIME"])


def _send_with_link(stack: Stack, name: str) -> None:
    link = SAMPLES.joinpath(f"{name}.txt").read_text(encoding="utf-8").partition("\n")[0].removeprefix("link: ")
    stack.admin.deliver(SAMPLES.joinpath(f"{name}.eml").read_bytes(), [ADDRESS], links=[link])
