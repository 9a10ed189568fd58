"""The row on cold starts: what importing the app costs beside importing Microsoft's SDK alone."""

import statistics
import subprocess
import sys

from local.parts import ROOT

_TIMED = "import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"


def measure(times: int) -> tuple[float, float]:
    """Median milliseconds of `import function_app` and of `import azure.functions`, each in a process of its own."""
    found: dict[str, list[float]] = {"function_app": [], "azure.functions": []}
    for _ in range(times + 1):
        for module, seconds in found.items():
            seconds.append(_seconds(module))
    return (
        1000 * statistics.median(found["function_app"][1:]),  # the first one may have had to compile
        1000 * statistics.median(found["azure.functions"][1:]),
    )


def _seconds(module: str) -> float:
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-c", _TIMED.format(module=module)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)
