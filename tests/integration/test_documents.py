"""Each sample through SMTP, the simulator, the host, Blob and Postgres: what is stored is what its table says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient
from psycopg.rows import dict_row

from ingest.codes import RULES_VERSION
from local.stack import Stack
from tests.integration.samples import MAILS, SAMPLES
from tests.mails.table import Row, table

pytestmark = [pytest.mark.shares("samples"), pytest.mark.usefixtures("unmeasured")]

NOT_CONVERTED = {"smime-encrypted", "smime-opaque", "smime-report"}  # Exchange gives no MIME of these

PARTS = """
select part.position, part.parent, part.disposition, part.reason, part.name, part.declared_type, part.detected_type,
    part.type_mismatch, part.encrypted, part.active_content, part.related, part.size, part.sha256, part.blob_name,
    document.id as document_id, document.related_id, document.sha256 as document_sha256,
    concat_ws(' ', document.invoice_kind, coalesce(document.invoice_profile, '-'),
        coalesce(document.invoice_number, '-'), coalesce(document.invoice_issue_date::text, '-'),
        coalesce(document.invoice_seller, '-'), coalesce(document.invoice_total::text, '-'),
        coalesce(document.invoice_currency, '-'), 'problem: ' || document.invoice_problem) as invoice,
    document.invoice_kind
from ingest.part left join ingest.document on document.part_id = part.id
where part.message_id = %s order by part.position
"""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The records and blobs of one sample in the running system."""

    message: Mapping[str, object]
    parts: Sequence[Mapping[str, object]]
    blobs: Mapping[str, str] = field(repr=False)  # name → SHA-256 of what lies there


@pytest.fixture(scope="module")
def stored(stack_with_samples: Stack) -> Mapping[str, Stored]:
    stack = stack_with_samples
    with (
        psycopg.connect(stack.postgres.owner_url, autocommit=True) as database,
        BlobServiceClient.from_connection_string(stack.azurite.connection_string) as blobs,
    ):
        return {name: _read(database, blobs, name) for name in MAILS}


@pytest.mark.parametrize("name", MAILS)
def test_each_part_is_stored_as_its_table_says(stored: Mapping[str, Stored], name: str) -> None:
    text = re.sub(r"\Alink: .*\n", "", SAMPLES.joinpath(f"{name}.txt").read_text(encoding="utf-8"))
    assert table(map(_row, stored[name].parts)) == text


@pytest.mark.parametrize("name", MAILS)
def test_every_hash_is_that_of_its_blob(stored: Mapping[str, Stored], name: str) -> None:
    mail = stored[name]
    sent = hashlib.sha256(SAMPLES.joinpath(f"{name}.eml").read_bytes()).hexdigest()
    assert mail.message["original"] == ("graph_json" if name in NOT_CONVERTED else "mime")
    assert mail.message["sha256"] == mail.blobs[str(mail.message["blob_name"])]
    assert (mail.message["sha256"] == sent) is (name not in NOT_CONVERTED)
    for part in mail.parts:
        if part["blob_name"] is not None:
            assert mail.blobs[str(part["blob_name"])] == part["sha256"]
    assert mail.blobs.keys() == {mail.message["blob_name"]} | {
        part["blob_name"] for part in mail.parts if part["blob_name"]
    }


def test_parts_in_are_dispositions_out(stored: Mapping[str, Stored]) -> None:
    for mail in stored.values():
        positions = [part["position"] for part in mail.parts if part["position"]]
        assert positions == list(range(1, len(positions) + 1))
        documents = [part for part in mail.parts if part["document_id"]]
        assert documents == [part for part in mail.parts if part["disposition"] == "document"]
        # Of all samples, only an automatic mail has no document; its original is on record with the reason.
        assert documents or [part["reason"] for part in mail.parts if not part["position"]] == ["automatic"]
        assert all(part["document_sha256"] == part["sha256"] for part in documents)


def test_a_pdf_points_to_the_xml_of_its_invoice(stored: Mapping[str, Stored]) -> None:
    xml, pdf, terms = stored["xrechnung-ubl-with-pdf"].parts
    assert pdf["related_id"] == xml["document_id"]
    assert terms["related_id"] is None


def test_the_evidence_is_one_record(stack_with_samples: Stack, stored: Mapping[str, Stored]) -> None:
    with psycopg.connect(stack_with_samples.postgres.owner_url, row_factory=dict_row) as database:
        mail = stored["dangerous-types"]
        row = database.execute("select * from ingest.evidence where message_id = %s", [mail.message["id"]]).fetchone()
    assert row is not None
    assert row["sha256"] == mail.message["sha256"]
    assert row["received_at"] <= row["stored_at"]
    assert row["rules_version"] == RULES_VERSION
    assert [part["reason"] for part in row["parts"]] == [part["reason"] for part in mail.parts]


def _read(database: psycopg.Connection, blobs: BlobServiceClient, name: str) -> Stored:
    """By the mail's own id: that of the header, which the builder made from its content."""
    raw = SAMPLES.joinpath(f"{name}.eml").read_bytes()
    found = re.search(rb"^Message-ID: (\S+)", raw, re.MULTILINE)
    assert found
    with database.cursor(row_factory=dict_row) as cursor:
        message = cursor.execute(
            "select * from ingest.message where internet_message_id = %s order by id desc limit 1", [found[1].decode()]
        ).fetchone()
        assert message, f"{name} was not stored"
        parts = cursor.execute(PARTS, [message["id"]]).fetchall()
    folder = str(message["blob_name"]).rpartition("/")[0]
    container = blobs.get_container_client(str(message["container"]))
    names = list(container.list_blob_names(name_starts_with=f"{folder}/"))
    with ThreadPoolExecutor(max_workers=8) as pool:
        hashes = pool.map(
            lambda blob: hashlib.sha256(container.download_blob(blob).readall()).hexdigest(),
            names,
        )
        return Stored(message=message, parts=parts, blobs=dict(zip(names, hashes, strict=True)))


def _texts(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(map(str, value))


def _row(part: Mapping[str, object]) -> Row:
    return Row(
        position=_number(part["position"]) or 0,
        inside=_number(part["parent"]),
        disposition=str(part["disposition"]),
        rule=str(part["reason"]),
        name=str(part["name"]),
        declared=_text(part["declared_type"]),
        detected=_text(part["detected_type"]),
        mismatch=bool(part["type_mismatch"]),
        encrypted=bool(part["encrypted"]),
        active=_texts(part["active_content"]),
        related=_number(part["related"]),
        size=_number(part["size"]),
        sha256=_text(part["sha256"]),
        invoice=str(part["invoice"]) if part["invoice_kind"] else None,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int | None:
    assert value is None or isinstance(value, int)
    return value
