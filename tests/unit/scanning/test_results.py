"""Results of Defender for Storage: event and tag say the same, and a copy says nothing."""

from datetime import UTC, datetime

import pytest

from ingest.codes import Verdict
from ingest.model.blob import ScanResult
from scanning.results import TAG, TIME_TAG, NotAResult, is_name_of_ours, read_event, read_tags
from tests.fakes.payloads import payload

CONTAINER_URL = "https://dms.blob.core.windows.net/documents/"
NAME = f"42/{'0123456789abcdef' * 2}/{'0123456789abcdef' * 4}/001"


def name_of(url: str) -> str | None:
    return url.removeprefix(CONTAINER_URL) if url.startswith(CONTAINER_URL) else None


def read(case: str) -> ScanResult | None:
    return read_event(payload(f"scan_results/{case}").decode(), name_of, "documents")


@pytest.mark.parametrize(
    ("case", "verdict", "said"),
    [
        ("clean", Verdict.CLEAN, None),
        ("malicious", Verdict.MALICIOUS, None),
        ("error", Verdict.FAILED, "Error: SAM259201"),
        ("not_scanned", Verdict.FAILED, "Not scanned: SAM259208"),
        ("word_of_the_future", Verdict.FAILED, "Suspicious"),
    ],
)
def test_each_word_of_defender_has_its_verdict(case: str, verdict: Verdict, said: str | None) -> None:
    result = read(case)
    assert result is not None
    assert (result.container, result.blob_name, result.verdict, result.said) == ("documents", NAME, verdict, said)
    assert result.scanned_at == datetime(2026, 11, 27, 11, 31, 54, 48127, tzinfo=UTC)


def test_the_malware_has_its_names() -> None:
    result = read("malicious")
    assert result is not None
    assert result.malware == ("DOS/EICAR_Test_File",)


@pytest.mark.parametrize("case", ["copy_in_another_container", "copy_in_the_container", "of_another_account"])
def test_a_result_for_a_copy_or_a_foreign_blob_is_ignored(case: str) -> None:
    assert read(case) is None


@pytest.mark.parametrize("case", ["another_event", "without_a_blob"])
def test_what_is_no_result_is_refused(case: str) -> None:
    with pytest.raises(NotAResult):
        read(case)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"data": []}', "[" * 100_000, '"Malicious"'])
def test_what_is_no_event_is_refused_without_a_quote(text: str) -> None:
    with pytest.raises(NotAResult) as refused:
        read_event(text, name_of, "documents")
    assert "Malicious" not in str(refused.value)


def test_an_array_of_one_event_is_read() -> None:
    text = f"[{payload('scan_results/clean').decode()}]"
    assert read_event(text, name_of, "documents") == read("clean")


def test_the_tag_says_what_the_event_says() -> None:
    tags = {TAG: "Malicious", TIME_TAG: "2026-11-27T11:31:54Z"}
    result = read_tags(tags, "documents", NAME)
    assert result is not None
    assert (result.verdict, result.scanned_at) == (Verdict.MALICIOUS, datetime(2026, 11, 27, 11, 31, 54, tzinfo=UTC))


def test_a_blob_without_the_tag_has_no_verdict_yet() -> None:
    assert read_tags({"mine": "1"}, "documents", NAME) is None


@pytest.mark.parametrize("name", ["001", "42/x/y/001", f"../{NAME}", f"{NAME}/copy", NAME.upper(), f"Copies/{NAME}"])
def test_only_names_that_the_app_gives_are_its_own(name: str) -> None:
    assert is_name_of_ours(NAME)
    assert not is_name_of_ours(name)
