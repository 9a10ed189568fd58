"""Links to a stranger's content: encrypted, short-lived, and answered without cookies in a sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from cryptography.fernet import Fernet, InvalidToken

LINK_SECONDS = 600


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
    """Makes and reads links. Links of another process, or older than LINK_SECONDS, are void.

    A link is encrypted: file names and subjects stay out of URLs, which proxies and browsers keep.
    """

    def __init__(self, *, base_url: str, clock: Callable[[], float] = time.time) -> None:
        """`base_url`: of the origin that serves content, without a slash at its end; empty for the page's own."""
        self._base_url = base_url
        self._clock = clock
        self._cipher = Fernet(Fernet.generate_key())

    def url(self, content: Content) -> str:
        """Return a link to content."""
        text = json.dumps(asdict(content)).encode()
        return f"{self._base_url}/content/{self._cipher.encrypt_at_time(text, int(self._clock())).decode()}"

    def read(self, text: str) -> Content | None:
        """Return the content that a link names; None for a link that was not made here or is too old."""
        try:
            plain = self._cipher.decrypt_at_time(text.encode(), LINK_SECONDS, int(self._clock()))
        except InvalidToken:
            return None
        fields = json.loads(plain)
        return Content(**{**fields, "form": Form(fields["form"])})
