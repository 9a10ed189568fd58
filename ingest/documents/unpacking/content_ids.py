"""The content ids that a body shows: `cid:…`, as RFC 2392 writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from urllib.parse import unquote_to_bytes

_CID = re.compile(rb"""cid:([^\s"'<>\\)&]{1,250})""", re.IGNORECASE)
MAX_IDS = 10_000  # of one body: no mail shows more images, and memory must not follow what a stranger makes up
_BEGINNING = len(b"cid:")  # bytes of a match that are none yet


def shown_content_ids(blocks: Iterable[bytes]) -> frozenset[str]:
    """All in a body that comes in `blocks`, percent-decoded. It can be as large as a mail: only an end is kept."""
    found: set[str] = set()
    rest = b""
    for block in blocks:
        window = rest + block
        settled = 0
        for match in _CID.finditer(window):
            if match.end() == len(window):  # the next block may go on with it
                settled = match.start()
                break
            found.add(_decoded(match))
            if len(found) >= MAX_IDS:
                return frozenset(found)
            settled = match.end()
        else:
            settled = max(settled, len(window) - _BEGINNING)
        rest = window[settled:]
    found.update(_decoded(match) for match in islice(_CID.finditer(rest), MAX_IDS))
    return frozenset(found)


def _decoded(match: re.Match[bytes]) -> str:
    return unquote_to_bytes(match[1]).decode("utf-8", "replace")
