"""Look the pinned packages up among known vulnerabilities, by pip-audit, and say which could not be looked up.

    python -m pip install pip-audit && python .ci/vulnerabilities.py

pip-audit asks PyPI. A machine that reaches a mirror only gets no answer about any package, and pip-audit itself ends
with success there. Exit code 1 for a known vulnerability, and 2 where nothing could be looked up.

https://pypi.org/project/pip-audit/
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-console.txt", "requirements-dev.txt")


def main() -> int:
    """Audit all requirements; return the exit code."""
    # Nothing is installed or resolved: the files pin every package.
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off"]
    command += ["--format=json", *(f"--requirement={ROOT / name}" for name in REQUIREMENTS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own interpreter
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print("::warning::pip-audit could not run: no package was looked up")
        return 2
    code, lines = verdict(packages)
    print(*lines, sep="\n")
    return code


def verdict(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print for the packages of pip-audit's report."""
    skipped = sorted(package["name"] for package in packages if "skip_reason" in package)
    looked_up = len(packages) - len(skipped)
    lines = [*_vulnerable(packages)]
    code = 1 if lines else 0
    lines.append(f"{looked_up} of {len(packages)} packages were looked up, {len(lines)} known vulnerabilities.")
    if skipped:
        lines.append(f"::warning::Not looked up: {', '.join(skipped)}")
    return code or (0 if looked_up else 2), lines


def _vulnerable(packages: list[dict[str, Any]]) -> Iterator[str]:
    for package in packages:
        for known in package.get("vulns", ()):
            mended = ", ".join(known.get("fix_versions") or ()) or "none yet"
            yield f"::error::{package['name']} {package['version']}: {known['id']}, mended in {mended}"


if __name__ == "__main__":
    sys.exit(main())
