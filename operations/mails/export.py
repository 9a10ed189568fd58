"""The evidence of one mail as a zip file that anyone can check with `sha256sum -c SHA256SUMS`.

For each tenant's copy: the original, every stored part, and a manifest with times, hashes, rules and places.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from ingest.errors import OperatorError
from ingest.model.message import OriginalForm
from operations.blobs.containers import BlobReader
from operations.inspection import ClaimRecord
from operations.mails.download import new_file
from operations.mails.history import Copy, Histories, PartRecord

SUMS = "SHA256SUMS"
MAX_NAME = 80  # characters of a sender's file name in the zip; the manifest has all of it
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def export_mail(histories: Histories, number: int, target: Path, *, reader: Callable[[str], BlobReader]) -> int:
    """Write the evidence of mail `number` to the zip file `target`; return the number of files in it.

    `reader` gives a container's blobs by the container's name. Raises OperatorError where there is no such mail,
    where nothing of it was stored, where `target` exists, and where a blob is not what was stored.
    """
    found = histories.mail(number)
    if found is None:
        raise OperatorError(f"There is no mail {number}.")
    if not found.copies:
        raise OperatorError(f"Nothing of mail {number} was stored: there is no evidence to export.")
    with new_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        bundle = _Bundle(archive)
        for copy in found.copies:
            parts = histories.parts(copy.duplicate_of or copy.id)
            _add_copy(bundle, found.claim, copy, parts, reader(copy.container))
        return bundle.finish()


class _Bundle:
    """A zip file, and the hashes of all that was put into it."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._sums: dict[str, str] = {}

    def add(self, name: str, blocks: Iterator[bytes]) -> str:
        """Add a file; return its SHA-256 in hex."""
        digest = hashlib.sha256()
        with self._archive.open(name, "w", force_zip64=True) as member:
            for block in blocks:
                digest.update(block)
                member.write(block)
        self._sums[name] = digest.hexdigest()
        return self._sums[name]

    def finish(self) -> int:
        """Add the list of hashes; return the number of files that it names."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in self._sums.items())
        self._archive.writestr(SUMS, lines)
        return len(self._sums)


def _add_copy(bundle: _Bundle, claim: ClaimRecord, copy: Copy, parts: Sequence[PartRecord], blobs: BlobReader) -> None:
    folder = f"tenant-{copy.tenant_id}"
    places = {
        part.position: f"{folder}/parts/{part.position:03d}-{_safe(part.name)}" for part in parts if part.blob_name
    }
    original = f"{folder}/original.{OriginalForm(copy.original).extension}"
    written: dict[str, str] = {copy.blob_name: original}
    _add(bundle, original, blobs.read(copy.blob_name), copy.sha256)
    for part in parts:
        if part.blob_name is None:
            continue
        if part.blob_name in written:  # two parts of the same content share their blob
            places[part.position] = written[part.blob_name]
            continue
        written[part.blob_name] = places[part.position]
        _add(bundle, places[part.position], blobs.read(part.blob_name), part.sha256)
    manifest = {
        "mail": asdict(claim),
        "copy": asdict(copy),
        "parts": [{**asdict(part), "file": places.get(part.position)} for part in parts],
    }
    text = json.dumps(manifest, default=_plain, ensure_ascii=False, indent=2) + "\n"
    bundle.add(f"{folder}/manifest.json", iter([text.encode("utf-8", "replace")]))


def _add(bundle: _Bundle, name: str, blocks: Iterator[bytes], expected: str | None) -> None:
    if bundle.add(name, blocks) != expected:
        raise OperatorError(f"The blob of {name} is not what was stored: see python -m ingest messages verify.")


def _safe(name: str) -> str:
    """Return a file name of plain ASCII; a sender's name could lead out of the folder."""
    return _UNSAFE.sub("_", name).strip("._")[:MAX_NAME] or "file"


def _plain(value: object) -> str | Mapping[str, object]:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
