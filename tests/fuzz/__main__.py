"""Coverage-guided fuzzing by atheris: `python -m tests.fuzz [TARGET …] [--seconds 30]`. `make fuzz` installs it.

Each target runs in its own process and starts from the attachments of the samples. Crashes are kept in .local/fuzz.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".local" / "fuzz"


def main() -> int:
    """Return exit code 1 if a target crashed, ran too long or took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    arguments = parser.parse_args()
    failed = []
    for name in arguments.targets or TARGETS:
        corpus = FOLDER / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (corpus / f"seed-{number:03}").write_bytes(seed)
        command = [sys.executable, "-m", "tests.fuzz.guided", name, str(arguments.seconds), str(corpus)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:  # noqa: S603 - our own interpreter
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "no target failed")  # noqa: T201 - for a person
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
