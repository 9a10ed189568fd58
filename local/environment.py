"""The environment of the app on the local stack, as a file for shells and for `python -m local ingest`."""

import shlex
from collections.abc import Mapping
from pathlib import Path

NAME = "env"  # of the file, in the directory of the stack


def write_environment(file: Path, variables: Mapping[str, str]) -> None:
    """Write the variables so that a shell can read them (`. FILE`); only the owner can read the file."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    file.touch(mode=0o600)
    file.write_text("".join(lines), encoding="utf-8")


def read_environment(file: Path) -> dict[str, str]:
    """Read what `write_environment` wrote. Raises FileNotFoundError where no stack has run."""
    assignments = shlex.split(file.read_text(encoding="utf-8").replace("export ", ""))
    return dict(assignment.split("=", 1) for assignment in assignments)
