"""What unpackers give: a container and its members, none of them expanded yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest.codes import Rule


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
