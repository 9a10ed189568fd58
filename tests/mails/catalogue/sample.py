"""A sample: a mail, and what has to become of each part; a family collects samples of one subject."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tests.mails.table import Row

PDF, XML, TXT, PNG, ZIP, MAIL = (
    "application/pdf",
    "application/xml",
    "text/plain",
    "image/png",
    "application/zip",
    "message/rfc822",
)
OCTETS = "application/octet-stream"
GREETING = "Guten Tag,\n\nanbei unsere Unterlagen.\n\nMit freundlichen Grüßen\nNordlicht GmbH\n"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A mail and the expected rows of its parts. `link`: a cloud attachment to be added, which no MIME can bring."""

    name: str
    mime: bytes
    rows: Sequence[Row]
    link: str | None = None


class Expected:
    """Collects the expected rows of one mail, in order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(  # noqa: PLR0917 - the columns of the table, in its order
        self,
        disposition: str,
        rule: str,
        name: str,
        declared: str | None,
        detected: str | None,
        content: bytes | None,
        *,
        inside: int | None = None,
        mismatch: bool = False,
        encrypted: bool = False,
        related: int | None = None,
        invoice: str | None = None,
        active: tuple[str, ...] = (),
    ) -> int:
        """One more part; its number."""
        position = len(self.rows) + 1
        self.rows.append(
            Row(
                position=position,
                inside=inside,
                disposition=disposition,
                rule=rule,
                name=name,
                declared=declared,
                detected=detected,
                mismatch=mismatch,
                encrypted=encrypted,
                related=related,
                size=None if content is None else len(content),
                sha256=None if content is None else hashlib.sha256(content).hexdigest(),
                invoice=invoice,
                active=active,
            )
        )
        return position

    def pdf(self, name: str, content: bytes, *, inside: int | None = None, declared: str | None = PDF) -> int:
        """A PDF that is a document."""
        return self.add("document", "file", name, declared, PDF, content, inside=inside)

    def automatic(self, subject: str, mime: bytes) -> None:
        """The mail itself, which a program wrote as an answer."""
        self.original(subject, mime)
        self.rows[-1] = replace(self.rows[-1], disposition="rejected", rule="automatic")

    def original(self, subject: str, mime: bytes) -> None:
        """The mail itself, which has no document."""
        digest = hashlib.sha256(mime).hexdigest()
        self.rows.append(
            Row(
                position=0,
                disposition="document",
                rule="mail_without_documents",
                name=f"{subject}.eml",
                declared=MAIL,
                detected=MAIL,
                size=len(mime),
                sha256=digest,
            )
        )


type _Make = Callable[[Expected], bytes | tuple[bytes, str]]


class Family:
    """The samples of one subject, in the order of their functions."""

    def __init__(self) -> None:
        self._makes: list[_Make] = []

    def sample[Make: _Make](self, make: Make) -> Make:
        """Register the function that makes a sample; the name of the sample is the name of the function.

        The function adds the expected rows and returns the mail, or the mail and the name of a cloud attachment.
        """
        self._makes.append(make)
        return make

    def samples(self) -> Iterator[Sample]:
        """Make all samples of the family."""
        for make in self._makes:
            expected = Expected()
            made = make(expected)
            mime, link = made if isinstance(made, tuple) else (made, None)
            yield Sample(name=make.__name__.replace("_", "-"), mime=mime, rows=expected.rows, link=link)
