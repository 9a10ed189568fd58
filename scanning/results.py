"""Results of Defender for Storage, as Event Grid delivers them and as the blob's index tag says them. No I/O.

https://learn.microsoft.com/azure/defender-for-cloud/defender-for-storage-configure-malware-scan#send-scan-results-to-event-grid
https://learn.microsoft.com/azure/defender-for-cloud/on-upload-malware-scanning#blob-index-tags
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from ingest.codes import Verdict
from ingest.errors import IngestError
from ingest.model.blob import ScanResult

EVENT_TYPE = "Microsoft.Security.MalwareScanningResult"
TAG = "Malware Scanning scan result"
TIME_TAG = "Malware Scanning scan time UTC"
DEFENDER = "defender"
MAX_NAMES = 20  # of malware, in one blob
MAX_TEXT = 200  # characters of one name, and of a reason
# Event and tag use the same words. `Not scanned` is final: too large, encrypted, in the archive tier.
_VERDICTS: Mapping[str, Verdict] = {
    "no threats found": Verdict.CLEAN,
    "malicious": Verdict.MALICIOUS,
    "error": Verdict.FAILED,
    "not scanned": Verdict.FAILED,
}
# `<tenant>/<key of the message>/<hash of the original>/<place>`, as ingest.filing names a blob.
_NAME = re.compile(r"[0-9a-f-]{1,36}/[0-9a-f]{32}/[0-9a-f]{64}/[^/]+")


class NotAResult(IngestError):
    """The queue message holds no result of a malware scan."""


def is_name_of_ours(blob_name: str) -> bool:
    """Return whether the app gave a blob this name. A copy elsewhere in the container has another name."""
    return _NAME.fullmatch(blob_name) is not None


def read_event(text: str, name_of: Callable[[str], str | None], container: str) -> ScanResult | None:
    """Return the result in an event; None for a blob that is not one of the app's, such as a copy.

    `name_of` returns the name that a blob's URL has in the app's `container`, None for a URL elsewhere. Raises
    NotAResult, which quotes nothing.
    """
    data = _data(text)
    url, word = data.get("blobUri"), data.get("scanResultType")
    if not isinstance(url, str) or not isinstance(word, str):
        raise NotAResult("the event names no blob or no result")
    blob_name = name_of(url)
    if blob_name is None or not is_name_of_ours(blob_name):
        return None
    details = data.get("scanResultDetails")
    names = details.get("malwareNamesFound") if isinstance(details, dict) else None
    verdict = _VERDICTS.get(word.strip().lower(), Verdict.FAILED)
    return ScanResult(
        container=container,
        blob_name=blob_name,
        verdict=verdict,
        scanner=DEFENDER,
        malware=tuple(str(name)[:MAX_TEXT] for name in names[:MAX_NAMES]) if isinstance(names, list) else (),
        said=_reason(word, details) if verdict is Verdict.FAILED else None,
        scanned_at=_time(data.get("scanFinishedTimeUtc")),
    )


def read_tags(tags: Mapping[str, str], container: str, blob_name: str) -> ScanResult | None:
    """Return the result in a blob's index tags; None where Defender has written none yet."""
    word = tags.get(TAG)
    if word is None:
        return None
    verdict = _VERDICTS.get(word.strip().lower(), Verdict.FAILED)
    return ScanResult(
        container=container,
        blob_name=blob_name,
        verdict=verdict,
        scanner=DEFENDER,
        said=word[:MAX_TEXT] if verdict is Verdict.FAILED else None,
        scanned_at=_time(tags.get(TIME_TAG)),
    )


def _data(text: str) -> Mapping[str, object]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise NotAResult("the queue message is not JSON") from None
    if isinstance(event, list) and len(event) == 1:  # some routes deliver an array of one
        event = event[0]
    if not isinstance(event, dict) or EVENT_TYPE not in {event.get("eventType"), event.get("type")}:
        raise NotAResult("the queue message is no result of a malware scan")
    data = event.get("data")
    if not isinstance(data, dict):
        raise NotAResult("the event has no data")
    return data


def _reason(word: str, details: object) -> str:
    """Return Defender's word, with its code of the fault where there is one."""
    code = details.get("notScannedReason") or details.get("errorCode") if isinstance(details, dict) else None
    return (f"{word}: {code}" if isinstance(code, str) else word)[:MAX_TEXT]


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
