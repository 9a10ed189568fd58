"""Pages of a stranger's PDF as pictures. PDFium runs in a process of its own that can be killed.

    python pdf_pages.py PAGE < file.pdf > page.png

The process has no secrets in its environment, and limits on memory and processor time.
"""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass

MAX_BYTES = 150 * 1024 * 1024
WIDTH = 1000  # pixels
MEMORY = 1024 * 1024 * 1024  # bytes of address space
SECONDS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as PNG, and how many pages there are."""

    png: bytes
    count: int


def render(pdf: bytes, page: int) -> Page | None:
    """Return a page, counted from 0, as a picture; None where PDFium can't show the file."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and file, nothing of the sender's
            [sys.executable, "-I", __file__, str(page)],
            input=pdf,
            capture_output=True,
            env={},
            timeout=SECONDS * 2,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    count, _, png = done.stdout.partition(b"\n")
    return Page(png=png, count=int(count)) if count.isdigit() and png else None


def _limit() -> None:
    if sys.platform == "win32":
        return  # the time limit alone holds
    import resource  # noqa: PLC0415 - in the child process only

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _main(page: int) -> None:
    import pypdfium2  # noqa: PLC0415 - in the child process only

    _limit()
    pdf = sys.stdin.buffer.read(MAX_BYTES + 1)
    document = pypdfium2.PdfDocument(pdf)
    sheet = document[page]
    scale = min(3.0, WIDTH / max(1.0, sheet.get_width()))
    scale = min(scale, 4 * WIDTH / max(1.0, sheet.get_height()))
    picture = io.BytesIO()
    sheet.render(scale=scale, may_draw_forms=False).to_pil().save(picture, format="PNG")
    sys.stdout.buffer.write(f"{len(document)}\n".encode() + picture.getvalue())


if __name__ == "__main__":
    _main(int(sys.argv[1]))
