"""What unpackers give: a container and its members, none of them expanded yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ingest.model import Rule

_CID = re.compile(rb"""cid:([^\s"'<>\\)&]{1,250})""", re.IGNORECASE)
_CID_OVERLAP = 300  # bytes: longer than any match, so that none is lost between two blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """Something inside of a container.

    `open` gives its bytes, from the start on each call, and may raise PartRejected. `size`: bytes that it says it
    will expand to, where the format tells. `embedded`: a container that has no bytes of its own, such as a
    message inside of an Outlook message.
    """

    name: str = field(repr=False)
    declared_type: str | None = None
    content_id: str | None = None
    size: int | None = None
    open: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()), repr=False)
    embedded: Container | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """A container that could be read. `rule` says which kind it is.

    `is_mail`: what has no document inside is a document itself. `encrypted`: nobody here can look inside.
    `shown`: the content ids that its body shows.
    """

    rule: Rule
    members: tuple[Member, ...]
    is_mail: bool
    encrypted: bool = False
    shown: Callable[[], frozenset[str]] = field(default=frozenset, repr=False)


def shown_content_ids(html: Iterable[bytes]) -> frozenset[str]:
    """The content ids that a body shows (`cid:…`, RFC 2392). Searched in the stream: a body can be large, too."""
    found: set[str] = set()
    tail = b""
    for block in html:
        window = tail + block
        found.update(unquote_to_bytes(match[1]).decode("utf-8", "replace") for match in _CID.finditer(window))
        tail = window[-_CID_OVERLAP:]
    return frozenset(found)
