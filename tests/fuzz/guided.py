"""One target under atheris: `python -m tests.fuzz.guided TARGET SECONDS FOLDER`, where FOLDER holds its corpus."""

from __future__ import annotations

import sys

import atheris

LONGEST = 64 * 1024  # bytes of an input
SLOWEST = 10  # seconds for one input
MEMORY = 1024  # MiB


def main() -> None:
    """Ends the process: with 0 when the time is over, with something else where the target crashed."""
    name, seconds, folder = sys.argv[1:]
    with atheris.instrument_imports(include=["ingest", "email", "zipfile", "olefile", "pypdf"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - only what is imported in here is instrumented
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
