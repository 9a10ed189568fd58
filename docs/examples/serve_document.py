"""HTTP headers for a document that a stranger sent. Serve documents from a domain of their own, without cookies.

A browser must neither guess another type nor run the file in the origin of the DMS: a script would act as the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

# Types that a browser shows without running anything in them. All others are downloads; HTML and SVG are never shown.
SHOWN = frozenset({"application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"})


def headers_of(name: str, content_type: str | None, active_content: Sequence[str]) -> dict[str, str]:
    """Return the headers of a response with the document's bytes. The arguments are columns of `ingest.document`."""
    shown = content_type in SHOWN and not active_content
    # Without control characters, and percent-encoded: a name can end no header and name no other parameter (RFC 6266).
    plain = (
        "".join(char for char in name if char.isprintable()).replace("/", "_").replace("\\", "_")[-150:] or "document"
    )
    return {
        "Content-Type": str(content_type) if shown else "application/octet-stream",
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(plain, safe='')}",
        "X-Content-Type-Options": "nosniff",
        # An opaque origin of its own, without scripts, forms, plugins and requests.
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        "Cross-Origin-Resource-Policy": "same-site",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-store",
    }
