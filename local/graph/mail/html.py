"""HTML bodies: as Exchange hands them out, as plain text, as the preview in a list."""

import re
from html.parser import HTMLParser

_META = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_HTML = re.compile(r"<html\b[^>]*>", re.IGNORECASE)
_PREVIEW_LENGTH = 255
# Enough markup to fill a preview; the rest of a large body need not be parsed for it.
_PREVIEW_SOURCE = 20_000


def normalized(html: str) -> str:
    """Return the document with the meta element that Exchange puts into every head."""
    if head := _HEAD.search(html):
        return f"{html[: head.end()]}\r\n{_META}{html[head.end() :]}"
    if root := _HTML.search(html):
        return f"{html[: root.end()]}<head>\r\n{_META}</head>{html[root.end() :]}"
    return f"<html><head>\r\n{_META}</head><body>{html}</body></html>"


def to_text(html: str) -> str:
    """Return what a reader sees, blocks on lines of their own."""
    extractor = _TextExtractor()
    extractor.feed(html)
    extractor.close()
    lines = (" ".join(line.split()) for line in "".join(extractor.pieces).splitlines())
    return "\r\n".join(line for line in lines if line)


def preview(body: str, *, is_html: bool) -> str:
    """Return the first 255 characters of what a reader sees."""
    source = body[:_PREVIEW_SOURCE]
    text = to_text(source) if is_html else "\r\n".join(line.strip() for line in source.splitlines() if line.strip())
    return text[:_PREVIEW_LENGTH]


class _TextExtractor(HTMLParser):
    _silent = frozenset({"script", "style", "head", "title"})
    _blocks = frozenset({"p", "div", "br", "tr", "li", "table", "h1", "h2", "h3", "h4", "blockquote", "hr"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._muted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Mute what is not shown; start a line for a block."""
        del attrs
        if tag in self._silent:
            self._muted += 1
        elif tag in self._blocks:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Unmute; end the line of a block."""
        if tag in self._silent:
            self._muted = max(0, self._muted - 1)
        elif tag in self._blocks:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if not self._muted:
            self.pieces.append(data)

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Skip a section that begins with `<![`; the base class raises AssertionError for unknown ones."""
        del report
        return self.rawdata.find(">", i) + 1 or -1
