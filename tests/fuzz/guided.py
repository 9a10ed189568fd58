"""One target under atheris: `python -m tests.fuzz.guided TARGET SECONDS FOLDER`. FOLDER holds the corpus."""

from __future__ import annotations

import sys

import atheris

LONGEST = 64 * 1024  # bytes of an input
SLOWEST = 10  # seconds for one input
MEMORY = 1024  # MiB


def main() -> None:
    """End the process: with 0 after the last second, with another code if the target crashed."""
    name, seconds, folder = sys.argv[1:]
    with atheris.instrument_imports(include=["ingest", "email", "zipfile", "pypdf"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - atheris instruments imports inside the block only
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={folder}-",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], folder, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
