"""Links to a stranger's content: signed, short-lived, and answered without cookies in a sandbox."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

LINK_SECONDS = 600.0


class Form(StrEnum):
    """The form in which content leaves: to look at, or to keep."""

    PREVIEW = "preview"
    DOWNLOAD = "download"


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A blob as a link names it. `media_type` is the detected one; `page`: of a PDF, from 0."""

    container: str
    blob_name: str
    name: str
    media_type: str
    size: int
    form: Form
    page: int = 0


class Links:
    """Makes and reads links. Links of another process, or older than LINK_SECONDS, are void."""

    def __init__(self, *, base_url: str, clock: Callable[[], float] = time.time) -> None:
        """`base_url`: of the origin that serves content, without a slash at its end; empty for the page's own."""
        self._base_url = base_url
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def url(self, content: Content) -> str:
        """Return a link to content."""
        body = json.dumps([int(self._clock() + LINK_SECONDS), asdict(content)], separators=(",", ":")).encode()
        signature = hmac.new(self._key, body, hashlib.sha256).digest()
        return f"{self._base_url}/content/{_text(signature)}.{_text(body)}"

    def read(self, text: str) -> Content | None:
        """Return the content that a link names; None for a link that was not made here or is too old."""
        signature, _, body = text.partition(".")
        try:
            raw, signed = _bytes(body), _bytes(signature)
        except ValueError:
            return None
        if not hmac.compare_digest(hmac.new(self._key, raw, hashlib.sha256).digest(), signed):
            return None
        until, fields = json.loads(raw)
        if until < self._clock():
            return None
        return Content(**{**fields, "form": Form(fields["form"])})


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
