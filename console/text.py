"""A stranger's text as a page may show it: nothing invisible, nothing that turns the line around."""

from __future__ import annotations

import unicodedata

# Cc and Cf: controls (C0, C1) and formats (bidi, zero width); Cs, Co, Cn: no characters that a person could read.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(value: object) -> str:
    """Return the text with every control, bidi and invisible character as U+FFFD."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _HIDDEN else character
        for character in str(value)
    )
