"""Every part of a mail to its disposition: detected, unpacked within the limits, stored, recorded.

Parts in = dispositions out: every attachment and every member of a container becomes exactly one `Part`. The members
of a container follow the container.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from ingest.codes import ActiveContent, Disposition, Rule
from ingest.documents import media_types
from ingest.documents.active_content import find_active_content
from ingest.documents.blocked_types import USUAL, Blocking
from ingest.documents.budget import Budget
from ingest.documents.detection import Detected, detect
from ingest.documents.invoices.einvoice import STEP, read_invoice
from ingest.documents.invoices.linking import link_invoices
from ingest.documents.pdf.findings import ReadObjects
from ingest.documents.pdf.reading import read_objects_here, read_pdf
from ingest.documents.rules import Facts, decide, full_name
from ingest.documents.spool import Spool, read_range
from ingest.documents.unpacking import cms, mime, msg, tnef, zip  # noqa: A004 - named by the format, as its neighbours are
from ingest.documents.unpacking.container import Container, Member
from ingest.errors import Defect, PartRejected
from ingest.model.blob import StoredBlob
from ingest.model.invoice import Invoice
from ingest.model.limits import Limits
from ingest.model.part import Part

RATIO_FREE = 16 * 1024 * 1024  # bytes that any container may expand to, even a small one

type Store = Callable[[tuple[int, ...], str, Spool], StoredBlob]
type Shown = Callable[[], frozenset[str]]
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
    """A place in the tree of parts. `path`: the part's number within each container around the part."""

    path: tuple[int, ...]
    parent: int | None
    shown: Shown


@dataclass(slots=True)
class _Opened:
    """A container while its members are taken out. `left`: bytes that the members may still expand to.

    `shown`: the content ids in its body. `cut`: the budget ended before all members were taken out.
    """

    container: Container
    left: int
    shown: Shown
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """The decision on one part. `opened`: the container, if the part is one. `first`: the part of the same content."""

    disposition: Disposition
    rule: Rule
    opened: _Opened | None = None
    first: int | None = None
    invoice: Invoice | None = None
    active_content: tuple[ActiveContent, ...] = ()

    @property
    def encrypted(self) -> bool:
        return self.rule is Rule.ENCRYPTED


class Sorter:
    """The parts of one mail. `store` puts a content to Blob by its path in the tree of parts, and its name.

    The time of `store` is not on the budget. Past the budget a part is stored as it is.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        budget: Budget,
        store: Store,
        read_objects: ReadObjects = read_objects_here,
        blocking: Blocking = USUAL,
    ) -> None:
        """`read_objects` reads a PDF in which a search found something to read. `blocking`: an operator's changes."""
        self._blocking = blocking
        self._limits = limits
        self._budget = budget
        self._store = store
        self._read_objects = read_objects
        self._parts: list[Part | None] = []
        self._seen: dict[str, int] = {}  # SHA-256 of documents and containers → position
        self._top = 0

    def take(self, member: Member, spool: Spool, *, shown: Shown) -> None:
        """Sort an attachment of the mail, its content in `spool`.

        `shown` returns the content ids in the mail's body. Raises the errors of `store`.
        """
        self._sort(member, self._detect(member, spool), spool, self._next_place(shown))

    def take_item(self, member: Member, spool: Spool, *, shown: Shown) -> None:
        """Sort an attached Outlook item, which Graph names without an extension. Otherwise as `take`."""
        self.take(replace(member, lacks_extension=True), spool, shown=shown)

    def note(self, member: Member, disposition: Disposition, rule: Rule) -> None:
        """Record an attachment of the mail that has no content."""
        self._top += 1
        self._record(_bare(member, self._reserve(), None, disposition, rule))

    def parts(self) -> tuple[Part, ...]:
        """Return all parts by position. Raises Defect if one of them has no disposition."""
        parts = [part for part in self._parts if part is not None]
        if len(parts) != len(self._parts):
            raise Defect(f"{len(self._parts) - len(parts)} parts have no disposition")
        return link_invoices(parts)

    # One part

    def _next_place(self, shown: Shown) -> _Place:
        self._top += 1
        return _Place(path=(self._top,), parent=None, shown=shown)

    def _sort(self, member: Member, detected: Detected, spool: Spool, place: _Place) -> bool:
        """Record the part and its members. Return True if the part is a document or holds one."""
        position = self._reserve()
        verdict = self._judge(member, detected, spool, place)
        name = full_name(member, place.path[-1], detected.media_type)
        part = Part(
            position=position,
            parent=place.parent,
            name=name,
            declared_type=member.declared_type,
            detected_type=detected.media_type.partition(";")[0],
            type_mismatch=detected.mismatch,
            encrypted=verdict.encrypted,
            disposition=verdict.disposition,
            rule=verdict.rule,
            size=spool.size,
            sha256=spool.sha256,
            blob=self._blob(verdict, place, name, spool),
            invoice=verdict.invoice,
            active_content=verdict.active_content,
            related=verdict.first if verdict.disposition is Disposition.DUPLICATE_IN_MAIL else None,
        )
        self._record(part)
        if part.disposition in {Disposition.DOCUMENT, Disposition.CONTAINER}:
            self._seen.setdefault(spool.sha256, position)
        if verdict.opened is None:
            return part.disposition in {Disposition.DOCUMENT, Disposition.DUPLICATE_IN_MAIL}
        return self._take_out(verdict.opened, part, place)

    def _detect(self, member: Member, spool: Spool) -> Detected:
        # A made-up name may end in anything, "Ihre Bestellung bei firma.com" too.
        name = "" if member.lacks_extension else member.name
        return detect(spool.file, spool.head(), name=name, declared_type=member.declared_type, blocking=self._blocking)

    def _judge(self, member: Member, detected: Detected, spool: Spool, place: _Place) -> _Verdict:
        """Decide on the part, open a container, and look into a document."""
        first = self._seen.get(spool.sha256)
        disposition, rule = decide(
            Facts(
                name=member.name,
                media_type=detected.media_type,
                dangerous=detected.dangerous,
                size=spool.size,
                shown=detected.media_type.startswith("image/") and _is_shown(member, place),
                seen=first is not None,
                is_text=member.is_text,
            )
        )
        verdict = _Verdict(disposition=disposition, rule=rule, first=first)
        if disposition is Disposition.CONTAINER:
            verdict = self._open(detected.media_type, rule, member.name, spool, len(place.path))
        try:
            return self._look_into(verdict, spool, detected.media_type)
        except PartRejected as rejected:
            return replace(verdict, rule=rejected.rule)

    def _look_into(self, verdict: _Verdict, spool: Spool, media_type: str) -> _Verdict:
        """Add the findings in a document: active content, encryption, e-invoice. Raises PartRejected(too_costly)."""
        if verdict.disposition is not Disposition.DOCUMENT:
            return verdict
        verdict = replace(verdict, active_content=find_active_content(spool.file, spool.size, media_type))
        if media_type == media_types.XML:
            return replace(verdict, invoice=read_invoice(read_range(spool.file, 0, spool.size, step=STEP)))
        if media_type == media_types.PDF:
            pdf = read_pdf(spool.file, spool.size, budget=self._budget, read_objects=self._read_objects)
            return replace(verdict, rule=Rule.ENCRYPTED if pdf.encrypted else verdict.rule, invoice=pdf.invoice)
        return verdict

    def _blob(self, verdict: _Verdict, place: _Place, name: str, spool: Spool) -> StoredBlob | None:
        if verdict.disposition is Disposition.DUPLICATE_IN_MAIL and verdict.first is not None:
            same = self._parts[verdict.first - 1]
            return same.blob if same else None
        if verdict.disposition not in _STORED:
            return None
        with self._budget.uncounted():
            return self._store(place.path, name, spool)

    # Containers

    def _open(self, media_type: str, rule: Rule, name: str, spool: Spool, depth: int) -> _Verdict:
        """Open a container. A broken or costly container is a document; one beyond the limits is rejected."""
        if depth > self._limits.depth:
            return _Verdict(disposition=Disposition.REJECTED, rule=Rule.TOO_DEEP)
        try:
            container = _open_container(media_type, name, spool, self._budget.parts_left)
        except PartRejected as rejected:
            return _unopened(rejected.rule)
        if container.encrypted:
            return _Verdict(disposition=Disposition.DOCUMENT, rule=Rule.ENCRYPTED)
        self._budget.parts_left -= _count(container)
        if self._budget.parts_left < 0:
            self._budget.parts_left = 0
            return _Verdict(disposition=Disposition.REJECTED, rule=Rule.TOO_MANY)
        left = max(RATIO_FREE, int(spool.size * self._limits.ratio))
        opened = _Opened(container=container, left=left, shown=cache(container.shown))
        return _Verdict(disposition=Disposition.CONTAINER, rule=rule, opened=opened)

    def _take_out(self, opened: _Opened, part: Part, place: _Place) -> bool:
        """Sort every member. A cut container becomes a document itself, and so does a mail without one inside."""
        found = False
        for number, member in enumerate(opened.container.members, start=1):
            inside = _Place(path=(*place.path, number), parent=part.position, shown=opened.shown)
            found |= self._take_member(member, opened, inside)
        if part.blob is None or not (opened.cut or (opened.container.is_mail and not found)):
            return found
        rule = Rule.TOO_COSTLY if opened.cut else Rule.MAIL_WITHOUT_DOCUMENTS
        self._record(replace(part, disposition=Disposition.DOCUMENT, rule=rule))
        return True

    def _take_member(self, member: Member, opened: _Opened, place: _Place) -> bool:
        if member.embedded is not None:
            return self._take_embedded(member, member.embedded, opened, place)
        with Spool(self._budget) as spool:
            try:
                self._expand(member, opened, spool)
            except PartRejected as rejected:
                opened.cut |= rejected.rule is Rule.TOO_COSTLY
                bare = _bare(member, self._reserve(), place.parent, Disposition.REJECTED, rejected.rule)
                self._record(bare)
                return False
            return self._sort(member, self._detect(member, spool), spool, place)

    def _take_embedded(self, member: Member, container: Container, opened: _Opened, place: _Place) -> bool:
        """Sort a message without bytes of its own: its attachments lie in the file around the message."""
        position = self._reserve()
        if len(place.path) > self._limits.depth:
            self._record(_bare(member, position, place.parent, Disposition.REJECTED, Rule.TOO_DEEP))
            return False
        part = _bare(member, position, place.parent, Disposition.CONTAINER, container.rule)
        self._record(part)
        inner = _Opened(container=container, left=opened.left, shown=cache(container.shown))
        found = self._take_out(inner, part, place)
        opened.cut |= inner.cut
        return found

    def _expand(self, member: Member, opened: _Opened, spool: Spool) -> None:
        allowed = min(self._budget.bytes_left, opened.left)
        if member.size is not None and member.size > allowed:
            raise PartRejected(Rule.TOO_LARGE)
        try:
            spool.fill(member.open(), at_most=allowed)
        finally:
            self._budget.bytes_left -= min(spool.size, allowed)
            opened.left -= min(spool.size, allowed)

    # The list

    def _reserve(self) -> int:
        self._parts.append(None)
        return len(self._parts)

    def _record(self, part: Part) -> None:
        self._parts[part.position - 1] = part


def _unopened(rule: Rule) -> _Verdict:
    """Return the verdict on a container that stays shut."""
    if rule is Rule.UNREADABLE:
        return _Verdict(disposition=Disposition.DOCUMENT, rule=Rule.UNREADABLE_CONTAINER)
    if rule is Rule.TOO_COSTLY:
        return _Verdict(disposition=Disposition.DOCUMENT, rule=Rule.TOO_COSTLY)
    return _Verdict(disposition=Disposition.REJECTED, rule=rule)


def _is_shown(member: Member, place: _Place) -> bool:
    """Return True if the body shows the member. An image that is not known to be shown becomes a document."""
    try:
        return member.content_id is not None and member.content_id in place.shown()
    except PartRejected:
        return False


def _open_container(media_type: str, name: str, spool: Spool, max_parts: int) -> Container:
    """Open a container by its type. Raises PartRejected: too_many, unreadable."""
    openers: dict[str, Callable[[], Container]] = {
        media_types.MAIL: lambda: mime.open_mail(spool.file, max_parts=max_parts),
        media_types.OUTLOOK_MESSAGE: lambda: msg.open_msg(spool.file, max_parts=max_parts),
        media_types.ZIP: lambda: zip.open_zip(spool.file, max_parts=max_parts),
        media_types.TNEF: lambda: tnef.open_tnef(spool.file, max_parts=max_parts),
        media_types.SIGNED: lambda: cms.open_signed(spool.file, name),
    }
    return openers[media_type]()


def _count(container: Container) -> int:
    """Return the number of members, those of embedded containers included."""
    return sum(1 + (_count(member.embedded) if member.embedded else 0) for member in container.members)


def _bare(member: Member, position: int, parent: int | None, disposition: Disposition, rule: Rule) -> Part:
    """Return a part without content, known by the mail's own words only."""
    return Part(
        position=position,
        parent=parent,
        name=full_name(member, position, media_types.UNKNOWN),
        declared_type=member.declared_type,
        disposition=disposition,
        rule=rule,
        size=member.size,
    )
