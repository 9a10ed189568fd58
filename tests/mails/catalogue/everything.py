"""All samples: real mails for every rule of what becomes a document, each with what has to become of its parts."""

from __future__ import annotations

from collections.abc import Iterator

from tests.mails.catalogue import automatic, containers, einvoices, files, programs, signed, written_badly
from tests.mails.catalogue.sample import Sample


def samples() -> Iterator[Sample]:
    """Make the samples of each family."""
    for family in (programs, signed, containers, einvoices, files, written_badly, automatic):
        yield from family.FAMILY.samples()
