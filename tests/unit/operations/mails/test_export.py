"""The evidence of one mail as a zip file."""

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BlobMissing, OperatorError
from ingest.model.message import OriginalForm
from operations.mails.download import BlobPlace, chosen_blob, write_blob
from operations.mails.export import _safe, export_mail
from operations.mails.history import Histories, MailRecord, PartRecord
from tests.fakes import console_service as fake

ORIGINAL, PDF = b"Subject: x\r\n\r\nHello", b"%PDF-1.7"


class Kept(Histories):
    """One mail's history and blobs, in memory."""

    def __init__(self, **blobs: bytes) -> None:
        self.form = OriginalForm.MIME
        self.blobs = {"original": ORIGINAL, "pdf": PDF, **blobs}

    def mail(self, number: int) -> MailRecord | None:
        sha256 = hashlib.sha256(ORIGINAL).hexdigest()
        copy = fake.copy(blob_name="original", sha256=sha256, original=self.form)
        return MailRecord(claim=fake.claim(7), copies=[copy]) if number == 7 else None

    def parts(self, copy: int) -> list[PartRecord]:  # noqa: ARG002 - as Histories has it
        sha256 = hashlib.sha256(PDF).hexdigest()
        first = fake.part(1, name="../../etc/passwd", blob_name="pdf", sha256=sha256)
        same = fake.part(2, name="again.pdf", blob_name="pdf", sha256=sha256)
        return [first, same, fake.part(3, blob_name=None, disposition="rejected")]

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self.blobs:
            raise BlobMissing(f"there is no blob {name}")
        yield self.blobs[name]


def export(kept: Kept, target: Path) -> int:
    return export_mail(kept, 7, target, reader=lambda _: kept)


def test_anyone_can_check_it_with_sha256sum(tmp_path: Path) -> None:
    assert export(Kept(), tmp_path / "mail.zip") == 3
    with zipfile.ZipFile(tmp_path / "mail.zip") as archive:
        archive.extractall(tmp_path / "out")
    names: Sequence[str] = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == ["001-etc_passwd", "SHA256SUMS", "manifest.json", "original.eml"]
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, check=False)  # noqa: S607
    assert done.returncode == 0
    manifest = json.loads((tmp_path / "out" / "tenant-42" / "manifest.json").read_text())
    assert [part["file"] for part in manifest["parts"]] == ["tenant-42/parts/001-etc_passwd"] * 2 + [None]
    assert manifest["parts"][0]["name"] == "../../etc/passwd"


def test_an_original_in_graphs_form_is_a_json_file(tmp_path: Path) -> None:
    kept = Kept()
    kept.form = OriginalForm.GRAPH_JSON
    export(kept, tmp_path / "mail.zip")
    with zipfile.ZipFile(tmp_path / "mail.zip") as archive:
        assert "tenant-42/original.json" in archive.namelist()
        assert "tenant-42/original.eml" not in archive.namelist()


@pytest.mark.parametrize("blobs", [{"pdf": b"changed"}, {"original": b"changed"}])
def test_a_blob_that_is_not_what_was_stored_leaves_no_export(tmp_path: Path, blobs: dict[str, bytes]) -> None:
    with pytest.raises(OperatorError, match="not what was stored"):
        export(Kept(**blobs), tmp_path / "mail.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mail.zip").write_text("mine")
    with pytest.raises(OperatorError, match="exists already"):
        export(Kept(), tmp_path / "mail.zip")
    assert (tmp_path / "mail.zip").read_text() == "mine"


@given(st.text())
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    safe = _safe(name)
    assert safe
    assert safe.isascii()
    assert not set(safe) & set("/\\:\0")
    assert not safe.startswith(".")


def test_the_original_and_a_part_are_chosen_by_position() -> None:
    assert chosen_blob(Kept(), 7, tenant=None, part=None) == BlobPlace(container="documents", name="original")
    assert chosen_blob(Kept(), 7, tenant="42", part=1).name == "pdf"


@pytest.mark.parametrize(("number", "tenant", "part"), [(8, None, None), (7, "43", None), (7, None, 3), (7, None, 9)])
def test_what_is_not_stored_is_not_downloaded(number: int, tenant: str | None, part: int | None) -> None:
    with pytest.raises(OperatorError):
        chosen_blob(Kept(), number, tenant=tenant, part=part)


def test_a_download_overwrites_nothing_and_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "mail.eml"
    assert write_blob(Kept().read("pdf"), target) == len(PDF)
    with pytest.raises(OperatorError, match="exists already"):
        write_blob(Kept().read("pdf"), target)
    with pytest.raises(BlobMissing):
        write_blob(Kept().read("missing"), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["mail.eml"]
