"""What benchmarks share: a process of its own for each way of doing a thing, its peak memory, and tables.

Memory is what the system counts for a process. Linux hands a new process the peak of the one that started
it, in `ru_maxrss` at least, so `VmHWM` is read there and set back before what is to be measured.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks import PROJECT

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def child(module: str, *arguments) -> dict:
    """Run a module of this folder in its own process; returns the JSON object of its last line."""
    run = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True
    )
    if run.returncode:
        name = " ".join([module, *map(str, arguments)])
        sys.exit(f"{run.stderr}\n{name} ended with status {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])


def peak() -> float:
    """The most memory that this process has held since `reset_peak`, in MiB."""
    if STATUS.is_file():
        return _status("VmHWM")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_peak() -> float:
    """Forget the peak so far; returns the memory held now, in MiB. Off Linux the peak so far stays."""
    if not STATUS.is_file():
        return peak()
    RESET.write_text("5")
    return _status("VmRSS")


def machine() -> str:
    """The processor, its cores and the versions that timings depend on."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}"


def load() -> str:
    """How many processes wanted a core during the last minute: above the number of cores, times mislead."""
    return f"load average {os.getloadavg()[0]:.1f}"


def ratio(first: list[float], other: list[float]) -> float:
    """How many times as much the other way takes: the median over rounds, each within its own round."""
    return statistics.median(theirs / ours for ours, theirs in zip(first, other, strict=True))


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """A markdown table: names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in [head, rule, *rows]:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |")


def _status(field: str) -> float:
    """One of the kernel's numbers on this process, in MiB."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024
