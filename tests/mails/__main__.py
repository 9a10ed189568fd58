"""Writes the samples anew: `python -m tests.mails`. Signed and encrypted ones get other bytes each time."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mails.catalogue.everything import samples
from tests.mails.table import table

FOLDER = Path(__file__).parent / "samples"


def main() -> None:
    """Every sample as NAME.eml with the table NAME.txt beside it."""
    FOLDER.mkdir(exist_ok=True)
    for sample in samples():
        FOLDER.joinpath(f"{sample.name}.eml").write_bytes(sample.mime)
        text = table(sample.rows)
        if sample.link is not None:
            text = f"link: {sample.link}\n{text}"
        FOLDER.joinpath(f"{sample.name}.txt").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{sample.name}: {len(sample.mime)} bytes, {len(sample.rows)} parts\n")


if __name__ == "__main__":
    main()
