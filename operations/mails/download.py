"""A mail's original, or one of its parts, as a file on the operator's machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import OperatorError
from operations.mails.history import Histories


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobPlace:
    """The place of a content in Blob."""

    container: str
    name: str


def chosen_blob(histories: Histories, number: int, *, tenant: str | None, part: int | None) -> BlobPlace:
    """Return the place of a mail's original, or of the part at a position, in one tenant's copy.

    `tenant`: the text of its id, needed where several tenants have a copy. Raises OperatorError.
    """
    found = histories.mail(number)
    copies = [copy for copy in (found.copies if found else ()) if tenant in {None, str(copy.tenant_id)}]
    if not copies:
        raise OperatorError(f"Nothing of mail {number} was stored{'' if tenant is None else f' for tenant {tenant}'}.")
    if len(copies) > 1:
        raise OperatorError(f"Tenants {', '.join(str(copy.tenant_id) for copy in copies)} have a copy: name one.")
    copy = copies[0]
    if part is None:
        return BlobPlace(container=copy.container, name=copy.blob_name)
    for record in histories.parts(copy.duplicate_of or copy.id):
        if record.position == part and record.blob_name is not None:
            return BlobPlace(container=copy.container, name=record.blob_name)
    raise OperatorError(f"Mail {number} has no stored part {part}: see messages show.")


def malicious_parts(histories: Histories, number: int) -> set[int]:
    """Return the positions of a mail's parts in which malware was found, in any copy. Raises OperatorError."""
    found = histories.mail(number)
    copies = found.copies if found else ()
    return {
        part.position for copy in copies for part in histories.parts(copy.duplicate_of or copy.id) if part.malicious
    }


def write_blob(blocks: Iterator[bytes], target: Path) -> int:
    """Write a blob's content to a new file; return the number of bytes. Raises OperatorError where `target` exists."""
    with new_file(target) as file:
        return sum(file.write(block) for block in blocks)


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file to write; after an exception there is none. Raises OperatorError where `target` exists."""
    try:
        file = target.open("xb")
    except FileExistsError:
        raise OperatorError(f"{target} exists already.") from None
    try:
        with file:
            yield file
    except BaseException:
        target.unlink(missing_ok=True)  # half a file looks like a whole one
        raise
