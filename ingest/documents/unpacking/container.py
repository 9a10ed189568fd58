"""The result of an unpacker: a container and its members, none of them expanded yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest.codes import Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One entry of a container.

    `open` yields the bytes, from the first one on each call, and may raise PartRejected. `size`: the number of bytes
    that the format declares, if any. `embedded`: a container without bytes of its own, such as a message inside an
    Outlook message. `is_text`: a piece of the mail's text that is no file. `lacks_extension`: the name is made up, or
    empty, and the extension follows from the content.
    """

    name: str = field(repr=False)
    declared_type: str | None = None
    content_id: str | None = None
    size: int | None = None
    open: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()), repr=False)
    embedded: Container | None = None
    is_text: bool = False
    lacks_extension: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """A container that could be read. `rule` names its kind.

    `is_mail`: the container itself becomes a document if no member does. `encrypted`: the members need a password or
    key. `shown`: the content ids that the body of the mail shows.
    """

    rule: Rule
    members: tuple[Member, ...]
    is_mail: bool
    encrypted: bool = False
    shown: Callable[[], frozenset[str]] = field(default=frozenset, repr=False)
