"""The sum rule: every attachment that another reader finds in a mail is on record, byte for byte."""

from __future__ import annotations

import hashlib
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

import pytest

from tests.fakes.filing import file_mail

SAMPLES = Path(__file__).parents[2] / "mails" / "samples"
RETURNED = {"smime-report"}  # a report returns a mail of ours: no attachment (docs/documents.md)
MAILS = sorted(path.stem for path in SAMPLES.glob("*.eml") if path.stem not in RETURNED)


def attachments(mail: Message) -> list[bytes]:
    """The contents that Python's reader finds, those of attached mails included; the texts of the body are none."""
    return [
        content
        for part in mail.walk()
        if not part.is_multipart()
        and not (part.get_content_maintype() == "text" and part.get_filename() is None)
        and isinstance(content := part.get_payload(decode=True), bytes)
    ]


@pytest.mark.parametrize("name", MAILS)
def test_every_attachment_that_another_reader_finds_is_on_record(name: str) -> None:
    raw = SAMPLES.joinpath(f"{name}.eml").read_bytes()
    saved, _ = file_mail(raw)
    theirs = attachments(message_from_bytes(raw, policy=policy.compat32))
    found = {hashlib.sha256(content).hexdigest() for content in theirs}
    assert found - {part.sha256 for part in saved.parts} == set()
