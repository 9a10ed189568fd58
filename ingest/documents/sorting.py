"""Every part of a mail to its disposition: detected, unpacked as far as the limits go, stored, recorded.

Parts in = dispositions out: whatever is met, here or inside of a container, becomes exactly one `Part`, children
after the container that they came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.codes import Disposition, Rule
from ingest.documents import media_types
from ingest.documents.detection import detect
from ingest.documents.einvoice import read_invoice
from ingest.documents.rules import Facts, decide, item_name, link_invoices
from ingest.documents.spool import Spool
from ingest.documents.unpacking import cms, mime, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import Defect, PartRejected
from ingest.model import Invoice, Limits, Part, StoredBlob

RATIO_FREE = 16 * 1024 * 1024  # bytes that any container may expand to, however small it is

type Store = Callable[[tuple[int, ...], str, Spool], StoredBlob]
_STORED = frozenset(
    {
        Disposition.DOCUMENT,
        Disposition.CONTAINER,
        Disposition.INLINE_IMAGE,
        Disposition.SIGNATURE,
        Disposition.CALENDAR,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where in the tree of parts a member is. `path`: its number within each container around it."""

    path: tuple[int, ...]
    parent: int | None
    shown: Callable[[], frozenset[str]]


@dataclass(slots=True)
class _Opened:
    """A container whose members are being taken out, and how much it may still expand to."""

    container: Container
    left: int


class Sorter:
    """The parts of one mail. `store` puts a content to Blob by its path in the tree of parts, and its name."""

    def __init__(self, *, limits: Limits, store: Store) -> None:
        self._limits = limits
        self._store = store
        self._parts: list[Part | None] = []
        self._parts_left = limits.parts
        self._bytes_left = limits.expanded_bytes
        self._seen: dict[str, int] = {}  # SHA-256 of documents and containers → position
        self._top = 0

    def take(self, member: Member, spool: Spool, *, shown: Callable[[], frozenset[str]], is_item: bool = False) -> None:
        """An attachment of the mail, its content in `spool`.

        `shown` gives the content ids in the mail's body. `is_item`: an Outlook item, whose name has no extension.
        Raises what `store` raises.
        """
        self._top += 1
        place = _Place(path=(self._top,), parent=None, shown=shown)
        self._sort(member, spool, place, is_item=is_item)

    def note(self, member: Member, disposition: Disposition, rule: Rule) -> None:
        """An attachment of the mail that has no content to look at."""
        self._top += 1
        self._record(_bare(member, self._reserve(), None, disposition, rule))

    def parts(self) -> tuple[Part, ...]:
        """All of them, by position. Raises Defect where one was met and has no disposition."""
        parts = [part for part in self._parts if part is not None]
        if len(parts) != len(self._parts):
            raise Defect(f"{len(self._parts) - len(parts)} parts have no disposition")
        return link_invoices(parts)

    # One part

    def _sort(self, member: Member, spool: Spool, place: _Place, *, is_item: bool = False) -> bool:
        """Whether the part is a document, or holds one."""
        position = self._reserve()
        detected = detect(spool.file, spool.head(), name=member.name, declared_type=member.declared_type)
        name = item_name(member.name, detected.media_type) if is_item else member.name
        first = self._seen.get(spool.sha256)
        disposition, rule = decide(
            Facts(
                name=name,
                media_type=detected.media_type,
                dangerous=detected.dangerous,
                size=spool.size,
                shown=detected.media_type.startswith("image/")
                and member.content_id is not None
                and member.content_id in place.shown(),
                seen=first is not None,
            )
        )
        opened: _Opened | None = None
        if disposition is Disposition.CONTAINER:
            disposition, rule, opened = self._open(detected.media_type, rule, name, spool, len(place.path))
        looked = _Look(encrypted=rule is Rule.ENCRYPTED)
        if disposition is Disposition.DOCUMENT:
            looked = looked.into(spool, detected.media_type)
        part = Part(
            position=position,
            parent=place.parent,
            name=name,
            declared_type=member.declared_type,
            detected_type=detected.media_type.partition(";")[0],
            type_mismatch=detected.mismatch,
            encrypted=looked.encrypted,
            disposition=disposition,
            reason=Rule.ENCRYPTED if looked.encrypted else rule,
            size=spool.size,
            sha256=spool.sha256,
            blob=self._blob(disposition, place, name, spool, first),
            invoice=looked.invoice,
            related=first if disposition is Disposition.DUPLICATE_IN_MAIL else None,
        )
        self._record(part)
        if disposition in {Disposition.DOCUMENT, Disposition.CONTAINER}:
            self._seen.setdefault(spool.sha256, position)
        if opened is None:
            return disposition in {Disposition.DOCUMENT, Disposition.DUPLICATE_IN_MAIL}
        return self._take_out(opened, part, place)

    def _blob(
        self, disposition: Disposition, place: _Place, name: str, spool: Spool, first: int | None
    ) -> StoredBlob | None:
        if disposition is Disposition.DUPLICATE_IN_MAIL and first is not None:
            same = self._parts[first - 1]
            return same.blob if same else None
        return self._store(place.path, name, spool) if disposition in _STORED else None

    # Containers

    def _open(
        self, media_type: str, rule: Rule, name: str, spool: Spool, depth: int
    ) -> tuple[Disposition, Rule, _Opened | None]:
        """Look inside. What can't be opened is a document as it is, but for what the limits refuse."""
        if depth > self._limits.depth:
            return Disposition.REJECTED, Rule.TOO_DEEP, None
        try:
            container = _open_container(media_type, name, spool, self._parts_left)
        except PartRejected as rejected:
            if rejected.rule is Rule.UNREADABLE:
                return Disposition.DOCUMENT, Rule.UNREADABLE_CONTAINER, None
            return Disposition.REJECTED, rejected.rule, None
        if container.encrypted:
            return Disposition.DOCUMENT, Rule.ENCRYPTED, None
        self._parts_left -= _count(container)
        if self._parts_left < 0:
            self._parts_left = 0
            return Disposition.REJECTED, Rule.TOO_MANY, None
        left = max(RATIO_FREE, int(spool.size * self._limits.ratio))
        return Disposition.CONTAINER, rule, _Opened(container=container, left=left)

    def _take_out(self, opened: _Opened, part: Part, place: _Place) -> bool:
        """Every member in turn. A mail in which no document was found is one itself."""
        found = False
        for number, member in enumerate(opened.container.members, start=1):
            inside = _Place(path=(*place.path, number), parent=part.position, shown=opened.container.shown)
            found |= self._take_member(member, opened, inside)
        if found or not opened.container.is_mail or part.blob is None:
            return found
        self._record(replace(part, disposition=Disposition.DOCUMENT, reason=Rule.MAIL_WITHOUT_DOCUMENTS))
        return True

    def _take_member(self, member: Member, opened: _Opened, place: _Place) -> bool:
        if member.embedded is not None:
            return self._take_embedded(member, member.embedded, opened, place)
        with Spool() as spool:
            try:
                self._expand(member, opened, spool)
            except PartRejected as rejected:
                bare = _bare(member, self._reserve(), place.parent, Disposition.REJECTED, rejected.rule)
                self._record(bare)
                return False
            return self._sort(member, spool, place)

    def _take_embedded(self, member: Member, container: Container, opened: _Opened, place: _Place) -> bool:
        """A message without bytes of its own: what it has is in the file around it."""
        position = self._reserve()
        if len(place.path) > self._limits.depth:
            self._record(_bare(member, position, place.parent, Disposition.REJECTED, Rule.TOO_DEEP))
            return False
        part = _bare(member, position, place.parent, Disposition.CONTAINER, container.rule)
        self._record(part)
        return self._take_out(_Opened(container=container, left=opened.left), part, place)

    def _expand(self, member: Member, opened: _Opened, spool: Spool) -> None:
        allowed = min(self._bytes_left, opened.left)
        if member.size is not None and member.size > allowed:
            raise PartRejected(Rule.TOO_LARGE)
        try:
            spool.fill(member.open(), at_most=allowed)
        finally:
            self._bytes_left -= min(spool.size, allowed)
            opened.left -= min(spool.size, allowed)

    # The list

    def _reserve(self) -> int:
        self._parts.append(None)
        return len(self._parts)

    def _record(self, part: Part) -> None:
        self._parts[part.position - 1] = part


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What a look into a document found."""

    encrypted: bool
    invoice: Invoice | None = None

    def into(self, spool: Spool, media_type: str) -> _Look:
        if media_type == media_types.XML:
            return replace(self, invoice=read_invoice(spool.blocks()))
        if media_type == media_types.PDF:
            from ingest.documents.pdf import read_pdf  # noqa: PLC0415 - with its library, only where there is a PDF

            pdf = read_pdf(spool.file, spool.size)
            return _Look(encrypted=pdf.encrypted, invoice=pdf.invoice)
        return self


def _open_container(media_type: str, name: str, spool: Spool, max_parts: int) -> Container:
    """Raises PartRejected: too_many, unreadable."""
    openers: dict[str, Callable[[], Container]] = {
        media_types.MAIL: lambda: mime.open_mail(spool.file, max_parts=max_parts),
        media_types.OUTLOOK_MESSAGE: lambda: msg.open_msg(spool.file, max_parts=max_parts),
        media_types.ZIP: lambda: zip.open_zip(spool.file, max_parts=max_parts),
        media_types.TNEF: lambda: tnef.open_tnef(spool.file, max_parts=max_parts),
        media_types.SIGNED: lambda: cms.open_signed(spool.file, name),
    }
    return openers[media_type]()


def _count(container: Container) -> int:
    """The members, and those of embedded containers."""
    return sum(1 + (_count(member.embedded) if member.embedded else 0) for member in container.members)


def _bare(member: Member, position: int, parent: int | None, disposition: Disposition, rule: Rule) -> Part:
    """A part of which nothing is known but what its mail says."""
    return Part(
        position=position,
        parent=parent,
        name=member.name,
        declared_type=member.declared_type,
        disposition=disposition,
        reason=rule,
        size=member.size,
    )
