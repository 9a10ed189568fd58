"""The words of a mail that a search finds. Writing and searching must split texts alike, so both come here."""

from __future__ import annotations

import string
from collections.abc import Iterable

MAX_TEXT = 20_000  # characters of a mail's words; a tsvector takes a megabyte
_BLANKS = str.maketrans(dict.fromkeys(string.punctuation, " "))


def searchable(text: str) -> str:
    """Return `text` in lower case with ASCII punctuation as blanks: `RE-2025.pdf` gives `re 2025 pdf`."""
    return text.lower().translate(_BLANKS)


def words_of(texts: Iterable[str | None]) -> str:
    """Return the distinct words of all `texts`, in their order, at most MAX_TEXT characters."""
    words = dict.fromkeys(word for text in texts if text for word in searchable(text[:MAX_TEXT]).split())
    return " ".join(words)[:MAX_TEXT]
