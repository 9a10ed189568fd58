"""Processor time and memory of processes, as the operating system counts them."""

import os
from collections import defaultdict
from pathlib import Path

import psutil

MIB = 1024 * 1024


def cpu_of_threads(pid: int) -> float:
    """Return user and system time so far of all threads of a process except the first."""
    return float(
        sum(thread.user_time + thread.system_time for thread in psutil.Process(pid).threads() if thread.id != pid)
    )


def cpu_by_part() -> dict[str, float]:
    """Return the CPU seconds so far of this process and of its descendants, by part of the stack."""
    spent: dict[str, float] = defaultdict(float)
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
            spent[_part(process)] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return spent


def busy_seconds() -> float:
    """Return the seconds that all cores together have worked so far, for any process. Waiting is not counted."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def resident_bytes(pid: int) -> int:
    """Return the bytes of a process that are in RAM now."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """Return the most bytes in RAM since the start, or since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak start from what is resident now: proc(5), clear_refs. Linux only."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def machine() -> dict[str, object]:
    """Describe the machine of the measurement."""
    return {
        "cores": psutil.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
    }


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status has no {field}")


def _part(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    for part, sign in (
        ("functions host", "local.functions_host"),
        ("Graph simulator", "local.graph"),
        ("Azurite (blob)", "blob/main.js"),
        ("Azurite (queue)", "queue/main.js"),
        ("rival", "bench.rival"),
        ("Postgres", "postgres"),
    ):
        if sign in line:
            return part
    return "benchmark"
