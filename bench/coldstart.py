"""The row on cold starts: the import of the app beside the import of Microsoft's SDK alone."""

import statistics
import subprocess
import sys
from dataclasses import dataclass

from local.processes import ROOT

_TIMED = "import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Median milliseconds of each import."""

    function_app: float
    azure_functions: float


def measure(times: int) -> ColdStart:
    """Import `function_app` and `azure.functions` so many times, each import in a process of its own."""
    found: dict[str, list[float]] = {"function_app": [], "azure.functions": []}
    for _ in range(times + 1):
        for module, seconds in found.items():
            seconds.append(_seconds(module))
    return ColdStart(
        function_app=1000 * statistics.median(found["function_app"][1:]),  # the first process may have to compile
        azure_functions=1000 * statistics.median(found["azure.functions"][1:]),
    )


def _seconds(module: str) -> float:
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-c", _TIMED.format(module=module)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)
